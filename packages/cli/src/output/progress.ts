import type { WriteStream } from 'node:tty';

const REPAINT_MS = 200;
const ERASE_LINE = '\r\u001B[K';

/** One line on stderr that is painted over and over while work goes on; silent where stderr is not a terminal. */
export class Progress {
  readonly #stream: NodeJS.WritableStream & Partial<WriteStream>;
  readonly #isQuiet: boolean;
  #paintedMs = performance.now();
  #isPainted = false;

  /** @param isQuiet for output that goes to the same terminal, which the line would tear apart */
  constructor(stream: NodeJS.WritableStream & Partial<WriteStream>, isQuiet = false) {
    this.#stream = stream;
    this.#isQuiet = isQuiet;
  }

  /** Call it often: it paints a few times a second. */
  update(line: () => string): void {
    if (this.#isQuiet || this.#stream.isTTY !== true) return;
    const nowMs = performance.now();
    if (nowMs - this.#paintedMs < REPAINT_MS) return;
    this.#paintedMs = nowMs;
    this.#isPainted = true;
    this.#stream.write(`${ERASE_LINE}${line().slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }

  /** Removes the line, so that something else can be printed. */
  clear(): void {
    if (!this.#isPainted) return;
    this.#isPainted = false;
    this.#stream.write(ERASE_LINE);
  }
}
