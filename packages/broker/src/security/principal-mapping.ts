import { RE2JS, RE2JSException } from 're2js';

import { DerError, subjectOf } from './distinguished-name.core.ts';
import type { Principal } from './principal.ts';

/** Longer names are nobody's. */
const NAME_CHARACTERS_MAX = 1024;
/** `RULE:PATTERN/REPLACEMENT/`, in both of which a slash is written with a backslash before it, and perhaps a letter behind. */
const RULE = /^RULE:(?<pattern>(?:\\.|[^\\/])*)\/(?<replacement>(?:\\.|[^\\/])*)\/(?<letter>[LU]?)$/;

type Rule = (name: string) => string | undefined;

/** What makes of a trusted certificate the principal that it stands for; undefined if no rule fits, or it names nobody. */
export type CertificateMapping = (certificate: Uint8Array) => Principal | undefined;

/**
 * Compiles rules of `ssl.principal.mapping.rules`: the first one whose pattern fits the whole distinguished name says the user's name. Patterns are
 * RE2's. Throws RangeError, with what is wrong, for others.
 */
export function certificateMapping(text: string): CertificateMapping {
  const rules = splitRules(text).map(compileRule);
  return (certificate) => {
    const subject = subjectIn(certificate);
    if (subject === undefined || subject === '' || subject.length > NAME_CHARACTERS_MAX) return undefined;
    for (const rule of rules) {
      const name = rule(subject);
      if (name !== undefined) return name === '' ? undefined : { type: 'User', name };
    }
    return undefined;
  };
}

function subjectIn(certificate: Uint8Array): string | undefined {
  try {
    return subjectOf(certificate);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** Commas stand in patterns too: a rule ends where the next one begins. */
function splitRules(text: string): string[] {
  const rules = text
    .trim()
    .split(/,\s*(?=RULE:|DEFAULT\s*(?:,|$))/)
    .map((rule) => rule.trim());
  return text.trim() === '' ? ['DEFAULT'] : rules;
}

function compileRule(text: string): Rule {
  if (text === 'DEFAULT') return (name) => name;
  const { pattern, replacement, letter } = RULE.exec(text)?.groups ?? {};
  if (pattern === undefined || replacement === undefined) {
    throw new RangeError(`${JSON.stringify(text)} is no rule: write DEFAULT or RULE:PATTERN/REPLACEMENT/`);
  }
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new RangeError(`${JSON.stringify(text)} is no rule: ${error.message}`, { cause: error });
  }
  return (name) => {
    if (!compiled.matches(name)) return undefined;
    const mapped = compiled.matcher(name).replaceAll(replacement);
    return letter === 'L' ? mapped.toLowerCase() : letter === 'U' ? mapped.toUpperCase() : mapped;
  };
}
