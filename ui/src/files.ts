/** Hands a text to the person who looks, as a file. */
export function saveFile(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  saveFrom(address, name);
  URL.revokeObjectURL(address);
}

/** Lets the browser fetch a file; the server may have named it. */
export function saveFrom(address: string, name: string): void {
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
}
