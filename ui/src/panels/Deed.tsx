/** A button for what changes something. In the sample, where nothing can be changed, it says so beforehand. */

import { Button, type ButtonProps } from "@mantine/core";
import type { ComponentPropsWithoutRef } from "react";

import { isOfSample } from "../view/sample";

type Props = ButtonProps & Omit<ComponentPropsWithoutRef<"button">, keyof ButtonProps>;

export function Deed({ disabled, title, ...others }: Props) {
  const isSample = isOfSample(window.location.search);
  return <Button {...others} disabled={isSample || disabled} title={isSample ? "The sample can only be looked at." : title} />;
}
