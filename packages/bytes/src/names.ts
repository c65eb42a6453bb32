/**
 * What a Set or a Map may be asked for that a peer has named, UTF-8. V8 takes the length alone for the hash of strings of 16,384 characters and more, so
 * that all such names of one length fall together, and a table of them takes time that is quadratic in their number.
 */
export const NAME_BYTES_MAX = 16_383;
