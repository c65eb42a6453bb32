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

  add(finding: Finding): void {
    if (this.list.length < PRINTED_MAX) {
      console.error(`FINDING ${finding.what}: ${finding.title}\n  ${finding.hex}`);
      if (finding.answer !== undefined) console.error(`  answer ${finding.answer}`);
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
