/** Fields that several forms have, and how a form tells what is wrong. */

import { Select, TagsInput, Text } from "@mantine/core";
import { useState } from "react";

import { ApiError } from "../api/client";
import { isPair } from "../shape/limitForm";
import { reasonOf } from "./Panel";

interface ChoiceProps<T extends string> {
  label: string;
  /** With their words, or named as they are. */
  options: Record<T, string> | readonly T[];
  value: T;
  set: (value: T) => void;
  width: number;
  error?: string;
}

export function Choice<T extends string>({ label, options, value, set, width, error }: ChoiceProps<T>) {
  const isList = (given: typeof options): given is readonly T[] => Array.isArray(given);
  return (
    <Select
      label={label}
      allowDeselect={false}
      data={isList(options) ? [...options] : Object.entries<string>(options).map(([name, text]) => ({ value: name, label: text }))}
      value={value}
      error={error}
      onChange={(chosen) => chosen && set(chosen as T)}
      w={width}
    />
  );
}

interface PairsProps {
  label: string;
  placeholder: string;
  value: string[];
  error?: string;
  set: (value: string[]) => void;
}

/** Only what can be read becomes one of them; what cannot is told. */
export function Pairs({ label, placeholder, value, error, set }: PairsProps) {
  const [isWrong, setWrong] = useState(false);
  const take = (given: string[]) => {
    setWrong(!given.every(isPair));
    set(given.filter(isPair));
  };
  const mistake = isWrong ? `Write it as ${placeholder}.` : error;
  return <TagsInput label={label} placeholder={value.length ? "" : placeholder} value={value} error={mistake} onChange={take} miw={220} acceptValueOnBlur />;
}

/** What is wrong, by field. */
export function mistakesOf(error: Error | null): Record<string, string> {
  return error instanceof ApiError ? error.mistakes : {};
}

/** What is wrong with the name of a new one that would replace another. */
export function takenWords(kind: string, name: string, taken: string[]): string | null {
  return taken.includes(name.trim()) ? `There is a ${kind} of this name already: change that one, or choose another name.` : null;
}

/** Every mistake of a request, also of what has no field here. */
export function Problem({ error }: { error: Error | null }) {
  if (!error) return null;
  const mistakes = Object.entries(mistakesOf(error));
  return (
    <Text size="sm" className="bad" role="alert" mt="xs" component="div">
      {mistakes.length > 1 ? mistakes.map(([field, message]) => <div key={field}>{`${field}: ${message}`}</div>) : reasonOf(error)}
    </Text>
  );
}
