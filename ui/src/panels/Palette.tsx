/** Ctrl-K: every page, time range and saved view by a few letters. */

import { Kbd, Modal, Text, TextInput, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { type KeyboardEvent, useId, useMemo, useState } from "react";
import { useLocation } from "wouter";

import { type Command, matching, stepped } from "../shape/commands";
import { keepViews, savedViews } from "../view/saved";
import { CALENDAR, calendarSpan, type RangeName, RANGES } from "../view/range";
import { OWN_ADDRESS, SAMPLE_ADDRESS } from "../view/sample";
import { type ChangeView, encodeView, PAGES, pagesOf, type View } from "../view/state";
import { browserTimezone } from "../view/zone";

const MOST_SHOWN = 12;

interface Props {
  view: View;
  change: ChangeView;
  close: () => void;
}

export default function Palette({ view, change, close }: Props) {
  const [words, setWords] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const commands = useCommands({ view, change, close }, words.trim());
  const found = matching(commands, words).slice(0, MOST_SHOWN);
  const chosen = found[Math.min(at, found.length - 1)];
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) setAt((before) => stepped(before, by, found.length));
    else if (event.key === "Enter") chosen?.run();
    else return;
    event.preventDefault();
  };
  return (
    <Modal.Root opened onClose={close} yOffset="12vh" size="md" transitionProps={{ duration: 0 }}>
      <Modal.Overlay />
      <Modal.Content aria-label="Commands">
        <Modal.Body pt="md">
          <TextInput
            aria-label="What to do"
            placeholder="Go to a page, show a time, save this view"
            role="combobox"
            aria-expanded
            aria-controls={id}
            aria-activedescendant={chosen && `${id}-${found.indexOf(chosen)}`}
            data-autofocus
            value={words}
            onChange={(event) => {
              setWords(event.currentTarget.value);
              setAt(0);
            }}
            onKeyDown={onKeyDown}
          />
          <ul id={id} role="listbox" aria-label="Commands" className="commands">
            {found.map((command, index) => (
              <li
                key={`${command.kind} ${command.name}`}
                id={`${id}-${index}`}
                role="option"
                aria-selected={command === chosen}
                onClick={command.run}
                onMouseMove={() => setAt(index)}
              >
                <span className="dim">{command.kind}</span> {command.name}
              </li>
            ))}
          </ul>
          <Text size="xs" c="dimmed">
            <Kbd size="xs">↑</Kbd> <Kbd size="xs">↓</Kbd> choose, <Kbd size="xs">Enter</Kbd> does it, <Kbd size="xs">Esc</Kbd> closes
          </Text>
        </Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}

function useCommands({ view, change, close }: Props, typed: string): Command[] {
  const scheme = useComputedColorScheme("light") === "dark" ? "light" : "dark";
  const { setColorScheme } = useMantineColorScheme();
  const [path, navigate] = useLocation();
  const saved = useMemo(() => savedViews(localStorage), []);
  const doing = (act: () => void) => () => {
    act();
    close();
  };
  const named = typed && !(typed in saved);
  return [
    ...pagesOf(view).map((page) => ({
      kind: "Go to",
      name: PAGES[page],
      run: doing(() => change({ page, of: null, call: null, incident: null })),
    })),
    ...(Object.keys(RANGES) as RangeName[]).map((range) => ({ kind: "Show", name: `the last ${RANGES[range].label}`, run: doing(() => change({ range })) })),
    ...CALENDAR.map((name) => ({ kind: "Show", name, run: doing(() => change({ range: calendarSpan(name, view.timezone, new Date()) })) })),
    ...Object.entries(saved).map(([name, address]) => ({ kind: "View", name, run: doing(() => navigate(path + address)) })),
    ...Object.keys(saved).map((name) => ({
      kind: "Forget the view",
      name,
      run: doing(() => keepViews(localStorage, Object.fromEntries(Object.entries(saved).filter(([other]) => other !== name)))),
    })),
    view.sample
      ? { kind: "Leave", name: "the sample", run: () => window.location.assign(OWN_ADDRESS) }
      : { kind: "Look around", name: "in a sample", run: () => window.location.assign(SAMPLE_ADDRESS) },
    { kind: "Clear", name: "all filters", run: doing(() => change({ filters: {} })) },
    { kind: "Switch to", name: `${scheme} colours`, run: doing(() => setColorScheme(scheme)) },
    ...(named
      ? [{ kind: "Save this view as", name: typed, run: doing(() => keepViews(localStorage, { ...saved, [typed]: encodeView(view, browserTimezone()) })) }]
      : []),
  ];
}
