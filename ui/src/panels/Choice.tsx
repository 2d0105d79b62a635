/** One of a few, side by side: radio buttons of the browser's own, which cost next to nothing to draw. */

import { useId } from "react";

interface Props<T extends string> {
  label: string;
  options: readonly { value: T; label: string }[];
  /** Of another value than those, none is chosen. */
  value: string;
  onChange: (value: T) => void;
  className?: string;
}

export function Choice<T extends string>({ label, options, value, onChange, className = "" }: Props<T>) {
  const name = useId();
  return (
    <div role="radiogroup" aria-label={label} className={`choice ${className}`}>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
          {option.label}
        </label>
      ))}
    </div>
  );
}
