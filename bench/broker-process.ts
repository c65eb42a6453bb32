import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { BROKER_CORE, pinned } from './commands.ts';
import { answers, listens, produceFirst } from './generator/admin.ts';
import type { Target } from './generator/job.ts';
import type { Launch, LaunchOptions, Peer } from './peers/peer.ts';

/** After kill -9 a broker may read all that it has. */
const START_MS_MAX = 300_000;
const START_POLL_MS = 5;
const STOP_MS_MAX = 120_000;
const OUTPUT_CHARS_MAX = 20_000;

/** A broker that is measured: one that was started for it, or one that runs already. */
export interface MeasuredBroker {
  readonly peer: Peer;
  readonly target: Target;
  /** On the disk that the broker writes to, as far as that is known. */
  readonly folder: string;
}

export interface BrokerOptions extends LaunchOptions {
  readonly pin: boolean;
}

/** A peer's process, its data in a temporary folder, on free ports of the loopback. It ends with this process at the latest. */
export class BrokerProcess implements MeasuredBroker {
  readonly peer: Peer;
  readonly folder: string;
  readonly #launch: Launch;
  readonly #core: number | undefined;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(peer: Peer, folder: string, launch: Launch, core: number | undefined) {
    this.peer = peer;
    this.folder = folder;
    this.#launch = launch;
    this.#core = core;
    process.once('exit', this.#abandon);
  }

  /** Ready to be launched, with an empty folder. */
  static async prepare(peer: Peer, options: BrokerOptions): Promise<BrokerProcess> {
    const folder = mkdtempSync(path.join(tmpdir(), `polylog-bench-${peer.name}-`));
    try {
      const launch = await peer.prepare(folder, options);
      return new BrokerProcess(peer, folder, launch, options.pin ? BROKER_CORE : undefined);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Launched, and answering. */
  static async start(peer: Peer, options: BrokerOptions): Promise<BrokerProcess> {
    const broker = await BrokerProcess.prepare(peer, options);
    try {
      broker.launch();
      await broker.until(() => answers(broker.target), 'answer');
    } catch (error) {
      await broker.remove();
      throw error;
    }
    return broker;
  }

  get target(): Target {
    return { ...this.#launch.address, pid: this.#child?.pid };
  }

  launch(): void {
    const { command, args } = pinned(this.#launch, this.#core);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARS_MAX);
      });
    child.once('error', (error) => (this.#output += error.message));
    this.#child = child;
  }

  /** Time in ms from its launch, which is now, to the acknowledgement of the first message, the topic made on first use. */
  async launchToFirstMessage(topic: string): Promise<number> {
    const launchedMs = performance.now();
    this.launch();
    await this.until(() => produceFirst(this.target, topic), 'acknowledge a message');
    return performance.now() - launchedMs;
  }

  async until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = performance.now() + START_MS_MAX;
    while (!(await isSo())) {
      if (this.#hasEnded()) throw new Error(`${this.peer.name} has ended\n${this.#output}`);
      if (performance.now() > deadlineMs)
        throw new Error(`${this.peer.name} did not ${what} within ${START_MS_MAX} ms\n${this.#output}`);
      await sleep(START_POLL_MS);
    }
  }

  /** Launches it, and waits until it takes connections; says nothing to it. */
  async launchSilently(): Promise<void> {
    this.launch();
    await this.until(() => listens(this.target), 'take a connection');
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || this.#hasEnded()) throw new Error(`${this.peer.name} does not run`);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /**
   * With a SIGTERM, because only then a profile is written.
   * @throws Error if it had ended before, or has to be killed
   */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    if (this.#hasEnded()) throw new Error(`${this.peer.name} ended during the run\n${this.#output}`);
    const ended = Promise.withResolvers<void>();
    child.once('exit', () => ended.resolve());
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, STOP_MS_MAX);
    child.kill('SIGTERM');
    await ended.promise;
    clearTimeout(timer);
    if (late) throw new Error(`${this.peer.name} did not stop within ${STOP_MS_MAX} ms\n${this.#output}`);
  }

  /** Keeps what is in its folder before it was ever launched, for {@link renew}. */
  keepFolder(): void {
    cpSync(this.folder, this.#keptFolder, { recursive: true });
  }

  /** The folder is again what it was when it was kept. It must not run. */
  renew(): void {
    for (const name of readdirSync(this.folder)) this.#removeFiles(path.join(this.folder, name));
    cpSync(this.#keptFolder, this.folder, { recursive: true });
  }

  /** Ends it if it runs, and its data. */
  async remove(): Promise<void> {
    try {
      if (!this.#hasEnded()) await this.stop();
    } finally {
      process.off('exit', this.#abandon);
      for (const folder of [this.folder, this.#keptFolder]) this.#removeFiles(folder);
    }
  }

  /** The same without waiting for it to end in order: its data are of no more use. */
  async discard(): Promise<void> {
    if (this.#child !== undefined && !this.#hasEnded()) await this.kill();
    await this.remove();
  }

  get #keptFolder(): string {
    return `${this.folder}-kept`;
  }

  #removeFiles(file: string): void {
    // A process that has just been killed may still have made a file in a folder that was empty a moment ago.
    rmSync(file, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  #hasEnded(): boolean {
    const child = this.#child;
    return child !== undefined && (child.exitCode !== null || child.signalCode !== null);
  }

  readonly #abandon = (): void => {
    this.#child?.kill('SIGKILL');
    for (const folder of [this.folder, this.#keptFolder]) this.#removeFiles(folder);
  };
}
