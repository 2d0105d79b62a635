/** Calendar arithmetic in a time zone: where its days begin, and the buckets that a range consists of. */

/** What is used of `Temporal`. It knows the zones at once; where Intl is used for the first time, a browser loads the
 * language for that, which takes tens of milliseconds. Safari has only Intl. */
interface Temporal {
  Now: { timeZoneId(): string };
  Instant: { fromEpochMilliseconds(at: number): { toZonedDateTimeISO(timezone: string): Zoned } };
}

/** An instant as a clock of a zone shows it. */
interface Zoned {
  offsetNanoseconds: number;
  toPlainDate(): { toString(): string };
}

function temporal(): Temporal | undefined {
  return (globalThis as { Temporal?: Temporal }).Temporal;
}

function zoned(timezone: string, instant: Date): Zoned | undefined {
  return temporal()?.Instant.fromEpochMilliseconds(instant.getTime()).toZonedDateTimeISO(timezone);
}

const NS_PER_SECOND = 1e9;

/** The calendar date of an instant in a zone, `2026-11-20`. */
export function dateIn(timezone: string, instant: Date): string {
  return zoned(timezone, instant)?.toPlainDate().toString() ?? formatter("date", timezone, { dateStyle: "short" }, "en-CA").format(instant);
}

export function firstOfMonth(date: string): string {
  return `${date.slice(0, 8)}01`;
}

export function shiftedDate(date: string, days: number): string {
  const instant = new Date(`${date}T00:00:00Z`);
  instant.setUTCDate(instant.getUTCDate() + days);
  return instant.toISOString().slice(0, 10);
}

/** How far the zone's clock is ahead of UTC at an instant, both in seconds. */
export function offsetSeconds(timezone: string, at: number): number {
  const known = zoned(timezone, new Date(Math.floor(at) * 1000));
  if (known) return known.offsetNanoseconds / NS_PER_SECOND;
  const parts = formatter("clock", timezone, CLOCK, "en-US").formatToParts(new Date(at * 1000));
  const field = (type: string) => Number(parts.find((part) => part.type === type)!.value);
  const local = Date.UTC(field("year"), field("month") - 1, field("day"), field("hour"), field("minute"), field("second"));
  return local / 1000 - Math.floor(at);
}

const CLOCK: Intl.DateTimeFormatOptions = {
  hourCycle: "h23",
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
};
const DAY_SECONDS = 86_400;
const CLOCK_LENGTH = "2026-11-27T09:30".length;

/** The first instant of a date in a zone, seconds since the epoch; also on days without a midnight. */
export function startOfDay(date: string, timezone: string): number {
  const naive = Date.parse(`${date}T00:00:00Z`) / 1000;
  const around = [naive - DAY_SECONDS, naive + DAY_SECONDS].map((at) => naive - offsetSeconds(timezone, at));
  const inside = around.filter((at) => dateIn(timezone, new Date(at * 1000)) === date);
  return Math.min(...inside);
}

/** What a clock of the zone shows at an instant, `2026-11-27T09:30`; seconds since the epoch. */
export function clockAt(at: number, timezone: string): string {
  return new Date((at + offsetSeconds(timezone, at)) * 1000).toISOString().slice(0, CLOCK_LENGTH);
}

/** When a clock of the zone shows `2026-11-27T09:30`, seconds since the epoch: the first time where it does so twice;
 * where it never does, when it would have without the change. NaN when that is no time. */
export function instantOf(clock: string, timezone: string): number {
  const naive = Date.parse(`${clock}Z`) / 1000;
  if (Number.isNaN(naive)) return naive;
  const around = [naive - DAY_SECONDS, naive + DAY_SECONDS].map((at) => naive - offsetSeconds(timezone, at));
  const shown = around.filter((at) => clockAt(at, timezone) === clock.slice(0, CLOCK_LENGTH));
  return shown.length ? Math.min(...shown) : around[0]!;
}

/** A date, or a moment in RFC 3339, in seconds since the epoch. */
export function startOf(from: string, timezone: string): number {
  return from.includes("T") ? Date.parse(from) / 1000 : startOfDay(from, timezone);
}

export type Interval = "minute" | "hour" | "day" | "week" | "month";
type Short = "minute" | "hour";
export const STEP_SECONDS = { minute: 60, hour: 3600 } as const;
const WEEK_DAYS = 7;

/** Whether it consists of whole days of the calendar. */
export function isOfDays(interval: Interval): interval is Exclude<Interval, Short> {
  return interval !== "minute" && interval !== "hour";
}

/** The start of the minute or of the zone's hour that an instant lies in. */
export function floorTo(interval: Short, at: number, timezone: string): number {
  const local = at + offsetSeconds(timezone, at);
  return Math.floor(at) - Math.floor(local % STEP_SECONDS[interval]);
}

/** The first date of the day, week (from Monday) or month that a date lies in. */
function firstDate(interval: Exclude<Interval, Short>, date: string): string {
  if (interval === "month") return firstOfMonth(date);
  const sinceMonday = (new Date(`${date}T00:00:00Z`).getUTCDay() + WEEK_DAYS - 1) % WEEK_DAYS;
  return interval === "week" ? shiftedDate(date, -sinceMonday) : date;
}

function nextDate(interval: Exclude<Interval, Short>, first: string): string {
  if (interval === "month") return firstOfMonth(shiftedDate(first, 31));
  return shiftedDate(first, interval === "week" ? WEEK_DAYS : 1);
}

/** The starts of all buckets from `start` until now, so that quiet ones are drawn as nothing rather than skipped. */
export function bucketStarts(interval: Interval, start: number, now: number, timezone: string): number[] {
  const starts: number[] = [];
  if (isOfDays(interval)) {
    for (let date = firstDate(interval, dateIn(timezone, new Date(start * 1000))); ; date = nextDate(interval, date)) {
      const at = startOfDay(date, timezone);
      if (at > now) return starts;
      starts.push(at);
    }
  }
  for (let at = floorTo(interval, start, timezone); at <= now; at += STEP_SECONDS[interval]) starts.push(at);
  return starts;
}

/** Where the bucket after the last one would begin. */
export function endOfBucket(interval: Interval, start: number, timezone: string): number {
  if (!isOfDays(interval)) return start + STEP_SECONDS[interval];
  return startOfDay(nextDate(interval, dateIn(timezone, new Date(start * 1000))), timezone);
}

export function knownTimezone(name: string | null): string | null {
  if (!name) return null;
  try {
    return formatter("date", name, { dateStyle: "short" }, "en-CA") && name;
  } catch {
    return null;
  }
}

/** Found out once: every link of the page asks for it. */
export function browserTimezone(): string {
  return (browsers ??= temporal()?.Now.timeZoneId() || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
}

let browsers: string | undefined;

const formatters = new Map<string, Intl.DateTimeFormat>();

/** Formatters are slow to make and quick to use: one for each kind, a word that stands for its options, and zone. */
export function formatter(kind: string, timeZone: string, options: Intl.DateTimeFormatOptions, locale: string): Intl.DateTimeFormat {
  const key = `${kind} ${timeZone}`;
  const known = formatters.get(key) ?? new Intl.DateTimeFormat(locale, { ...options, timeZone });
  formatters.set(key, known);
  return known;
}

/** Whose clocks they are: `Buenos Aires` of `America/Argentina/Buenos_Aires`. */
export function placeOf(timezone: string): string {
  return timezone.slice(timezone.lastIndexOf("/") + 1).replaceAll("_", " ");
}
