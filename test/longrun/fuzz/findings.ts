import type { Frame } from './frames.ts';

const HEX_CHARACTERS_MAX = 4000;
const PRINTED_MAX = 50;

export interface Finding {
  readonly what: string;
  /** For example `Fetch v12`. */
  readonly title: string;
  /** The frame, length prefix included; cut if it is long. */
  readonly hex: string;
  readonly answer?: string;
}

/** What a run found to be wrong. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void = (line) => console.error(line)) {
    this.#print = print;
  }

  add(finding: Finding): void {
    if (this.list.length < PRINTED_MAX) {
      this.#print(`FINDING ${finding.what}: ${finding.title}\n  ${finding.hex}`);
      if (finding.answer !== undefined) this.#print(`  answer ${finding.answer}`);
    }
    this.list.push(finding);
  }

  addFrame(what: string, { title, bytes }: Frame, answer?: Buffer): void {
    this.add({
      what,
      title,
      hex: Buffer.from(bytes).toString('hex').slice(0, HEX_CHARACTERS_MAX),
      ...(answer === undefined ? {} : { answer: answer.toString('hex').slice(0, HEX_CHARACTERS_MAX) }),
    });
  }
}
