import type { MetadataStore, Watch } from '../metadata/types.ts';
import type { Logger } from '../platform/index.ts';
import { ImageBuilder, type ImageChange } from './image-builder.ts';
import type { ClusterImage } from './image.ts';
import { SECTIONS } from './sections.ts';

export interface ImageTrackerOptions {
  readonly store: MetadataStore;
  readonly logger: Logger;
}

type Listener = (change: ImageChange) => void;

interface VersionWaiter {
  readonly version: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Keeps the image in step with the metadata store. Whoever listens hears every change once, in order, in the turn in which it came. */
export class ImageTracker {
  readonly #store: MetadataStore;
  readonly #logger: Logger;
  readonly #builder = new ImageBuilder();
  readonly #listeners: Listener[] = [];
  #image: ClusterImage;
  #watch: Watch | undefined;
  #waiters: VersionWaiter[] = [];
  #closed = false;

  private constructor(options: ImageTrackerOptions) {
    this.#store = options.store;
    this.#logger = options.logger;
    this.#image = this.#builder.load([], 0);
  }

  static async open(options: ImageTrackerOptions): Promise<ImageTracker> {
    const tracker = new ImageTracker(options);
    const { entries, revision } = await tracker.#store.range('');
    tracker.#image = tracker.#builder.load(entries, revision);
    tracker.#follow(revision);
    return tracker;
  }

  get image(): ClusterImage {
    return this.#image;
  }

  /** See {@link ImageBuilder.orphans}. */
  orphans(): { readonly topicId: string; readonly index: number }[] {
    return this.#builder.orphans();
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Resolves once the image has reached the revision and every listener has seen it. */
  reached(version: number): Promise<void> {
    if (this.#image.version >= version) return Promise.resolve();
    if (this.#closed) return Promise.reject(new Error('The image is no longer followed'));
    return new Promise((resolve, reject) => this.#waiters.push({ version, resolve, reject }));
  }

  close(): void {
    this.#closed = true;
    this.#watch?.cancel();
    for (const { reject } of this.#waiters) reject(new Error('The image is no longer followed'));
    this.#waiters = [];
  }

  #follow(afterRevision: number): void {
    this.#watch = this.#store.watch({
      prefix: '',
      afterRevision,
      onEvents: (events) => this.#changed(this.#builder.apply(events)),
      onCompacted: () => {
        this.#logger.warn({ afterRevision }, 'The metadata history is gone; listing again');
        this.#listAgain().catch((error: unknown) => {
          if (!this.#closed) this.#logger.error({ error }, 'The metadata could not be listed');
        });
      },
    });
  }

  async #listAgain(): Promise<void> {
    const { entries, revision } = await this.#store.range('');
    if (this.#closed) return;
    const before = this.#image;
    const image = this.#builder.load(entries, revision);
    const topics = new Map([...image.topics()].map((topic) => [topic.kafkaName, topic] as const));
    const gone = [...before.topics()].filter(({ kafkaName }) => !topics.has(kafkaName));
    this.#changed({
      image,
      topics: new Map([...topics, ...gone.map(({ kafkaName }) => [kafkaName, undefined] as const)]),
      sections: new Set(SECTIONS),
    });
    this.#follow(revision);
  }

  #changed(change: ImageChange): void {
    this.#image = change.image;
    for (const listener of this.#listeners) listener(change);
    const ready = this.#waiters.filter(({ version }) => version <= change.image.version);
    this.#waiters = this.#waiters.filter(({ version }) => version > change.image.version);
    for (const { resolve } of ready) resolve();
  }
}
