import { splitList } from './definition.ts';

/** Passwords by user from `NAME=PASSWORD,…`: a password may hold `=`, but no comma. Undefined if it is something else. */
export function parseUsers(text: string): ReadonlyMap<string, string> | undefined {
  const passwords = new Map<string, string>();
  for (const item of splitList(text)) {
    const at = item.indexOf('=');
    const name = item.slice(0, at).trim();
    if (at < 0 || name === '' || at === item.length - 1 || passwords.has(name)) return undefined;
    passwords.set(name, item.slice(at + 1));
  }
  return passwords.size === 0 ? undefined : passwords;
}
