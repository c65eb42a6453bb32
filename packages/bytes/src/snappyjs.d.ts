declare module 'snappyjs' {
  /** One raw snappy block: the uncompressed length, then its elements. */
  export function compress(uncompressed: Uint8Array): Uint8Array;
}
