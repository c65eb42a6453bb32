import process from 'node:process';
import type { MemberOptions } from '../member.ts';

export type MemberSettings = MemberOptions & { readonly clientId: string };

/** What a member that is a program of its own was told on its command line. */
export function memberSettings(): MemberSettings {
  return JSON.parse(process.argv[2] ?? '') as MemberSettings;
}
