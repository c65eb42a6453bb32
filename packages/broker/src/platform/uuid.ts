export const UUID_BYTES = 16;

/**
 * Makes a random UUID (version 4) of 16 random bytes, in the form in which Kafka prints its ids: 22 characters of base64url.
 * Returns undefined for the few that begin with '-' and would be taken for an option on a command line: draw again. The
 * version bits keep it from ever being one of the ids that Kafka reserves (zero, one).
 */
export function uuidOf(randomBytes: Uint8Array): string | undefined {
  const bytes = Buffer.from(randomBytes.subarray(0, UUID_BYTES));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const text = bytes.toString('base64url');
  return text.startsWith('-') ? undefined : text;
}
