export const COMMANDS: Readonly<Record<string, readonly string[]>>;
export function isInstalled(root: string): boolean;
export function pickNode(root: string, current?: { path: string; version: string }): string | undefined;
