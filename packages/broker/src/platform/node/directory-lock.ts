import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { createServer, connect, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiskError, LOCK_ENTRY, type DirectoryLock } from '../disk.ts';
import { diskErrorOf, isMissing } from './disk-errors.ts';

/**
 * Who may use a folder is who listens on a unix socket in `<folder>/.lock/`. The kernel closes the socket however its process
 * ends, and a socket is found by its inode, so this works between containers that share the folder too (on one host: over a
 * network file system the sockets of another host look dead).
 *
 * There is no way to replace a dead socket's name atomically only if it is still that dead one, so no name is ever
 * reused, and all contenders keep one of their own:
 *
 *   1. listen on `new-<id>`, then rename it to `<id>`: a published socket always listens, so a refused connection means
 *      that its process is gone, for good, and whoever notices may remove the name;
 *   2. then ask every other published socket for its state. All contenders publish before they look, so of any two at
 *      least one sees the other: two can never both find themselves alone.
 *        - dead: its name is removed;
 *        - it holds the lock, or does not answer: give up;
 *        - it contends too: the smaller id stays and asks again until the other has given up, died, or (having looked
 *          before this one was published) holds the lock; the larger one gives up.
 */
const UNPUBLISHED_PREFIX = 'new-';
const ID_BYTES = 8;
const PUBLISH_ATTEMPTS_MAX = 3;
const ANSWER_TIMEOUT_MS = 1000;
const CONTEND_MS_MAX = 5000;
const CONTEND_POLL_MS = 10;
const ANSWER_BYTES_MAX = 512;
/** The shortest limit of the systems that we run on, macOS, without the closing zero; a longer path goes through a link. */
const SOCKET_PATH_BYTES_MAX = 103;

interface Holder {
  /** `leaves`: it hung up without an answer, as one does that gives up or dies; asked again, it will be gone. */
  readonly state: 'contends' | 'holds' | 'silent' | 'leaves';
  /** For people: process and host. */
  readonly who: string;
}

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  let contender: Contender | undefined;
  try {
    contender = await Contender.publish(directory);
    await contender.win();
    return contender;
  } catch (error) {
    await contender?.release();
    throw diskErrorOf(error, 'lock', directory);
  }
}

class Contender implements DirectoryLock {
  readonly #directory: string;
  readonly #sockets: SocketFolder;
  readonly #server: Server;
  readonly #id: string;
  #state: Holder['state'] = 'contends';

  private constructor(directory: string, sockets: SocketFolder, server: Server, id: string) {
    this.#directory = directory;
    this.#sockets = sockets;
    this.#server = server;
    this.#id = id;
    server.on('connection', (socket) => {
      socket.on('error', () => socket.destroy()); // Who asked has gone: nothing is owed to them.
      socket.write(`${this.#state} process ${process.pid} on ${hostname()}\n`);
      socket.destroySoon();
    });
  }

  static async publish(directory: string): Promise<Contender> {
    const sockets = SocketFolder.open(directory);
    try {
      for (let attempt = 1; ; attempt++) {
        const id = randomBytes(ID_BYTES).toString('hex');
        const server = await listen(sockets.pathOf(UNPUBLISHED_PREFIX + id));
        try {
          renameSync(join(sockets.folder, UNPUBLISHED_PREFIX + id), join(sockets.folder, id));
          return new Contender(directory, sockets, server, id);
        } catch (error) {
          server.close();
          // Another contender asked between bind and listen, and so took the name for a dead one.
          if (!isMissing(error) || attempt === PUBLISH_ATTEMPTS_MAX) throw error;
        }
      }
    } catch (error) {
      sockets.close();
      throw error;
    }
  }

  /** Returns when the lock is held, throws when somebody else has it. */
  async win(): Promise<void> {
    const deadlineMs = performance.now() + CONTEND_MS_MAX;
    for (const name of readdirSync(this.#sockets.folder)) {
      if (name === this.#id) continue;
      for (;;) {
        const other = await ask(this.#sockets.pathOf(name));
        if (other === 'dead') {
          removeName(join(this.#sockets.folder, name));
          break;
        }
        // An unpublished one has yet to look, and will find this one.
        if (name.startsWith(UNPUBLISHED_PREFIX)) break;
        const mayLeave = other.state === 'leaves' || (other.state === 'contends' && name > this.#id);
        if (!mayLeave || performance.now() > deadlineMs) throw this.#locked(other);
        await sleep(CONTEND_POLL_MS);
      }
    }
    this.#state = 'holds';
  }

  #locked(other: Holder): DiskError {
    const verb = other.state === 'contends' ? 'is being taken' : 'is in use';
    return new DiskError({
      code: 'LOCKED',
      operation: 'lock',
      path: this.#directory,
      detail: `the folder ${verb} by another broker (${other.who}); stop it, or choose another data folder`,
    });
  }

  async release(): Promise<void> {
    removeName(join(this.#sockets.folder, this.#id));
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#sockets.close();
  }
}

/** A link to a folder: `path`, in the folder `temporary`. */
interface ShortLink {
  readonly temporary: string;
  readonly path: string;
}

/** The folder of the sockets, reached by a path that is short enough to bind to. */
class SocketFolder {
  readonly folder: string;
  readonly #link: ShortLink | undefined;

  private constructor(folder: string, link: ShortLink | undefined) {
    this.folder = folder;
    this.#link = link;
  }

  static open(directory: string): SocketFolder {
    const folder = join(realpathSync(directory), LOCK_ENTRY);
    mkdirSync(folder, { recursive: true });
    const longestName = UNPUBLISHED_PREFIX + '0'.repeat(2 * ID_BYTES);
    if (Buffer.byteLength(join(folder, longestName)) <= SOCKET_PATH_BYTES_MAX)
      return new SocketFolder(folder, undefined);
    const temporary = mkdtempSync(join(tmpdir(), 'polylog-'));
    const path = join(temporary, 'l');
    symlinkSync(folder, path);
    return new SocketFolder(folder, { temporary, path });
  }

  pathOf(name: string): string {
    return join(this.#link?.path ?? this.folder, name);
  }

  close(): void {
    if (this.#link !== undefined) rmSync(this.#link.temporary, { recursive: true, force: true });
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

/** Asks a socket who listens. Everything but a sure sign of death counts as alive. */
function ask(path: string): Promise<Holder | 'dead'> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ path });
    const settle = (result: Holder | 'dead'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(
      () => settle({ state: 'silent', who: 'which does not answer' }),
      ANSWER_TIMEOUT_MS,
    );
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') settle('dead');
      else if (error.code === 'ECONNRESET' || error.code === 'EPIPE')
        settle({ state: 'leaves', who: error.message });
      else settle({ state: 'silent', who: error.message });
    });
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > ANSWER_BYTES_MAX || answer.includes('\n')) settle(parseAnswer(answer));
    });
    socket.on('end', () => settle(parseAnswer(answer)));
  });
}

function parseAnswer(answer: string): Holder {
  const [state, ...who] = answer.trim().split(' ');
  if (state === 'contends' || state === 'holds') return { state, who: who.join(' ') };
  return { state: 'leaves', who: 'which hung up' };
}

function removeName(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
