/*
 * The subject of an X.509 certificate (RFC 5280, in DER) as text of RFC 2253, as Java writes it: `CN=alice,OU=Sales\\, EU,C=DE`. In the order of the
 * text, which is the reverse of that in the certificate.
 *
 *   Certificate     SEQUENCE { TBSCertificate, ... }
 *   TBSCertificate  SEQUENCE { [0] version?, serial, signature, issuer, validity, subject, ... }
 *   Name            SEQUENCE OF SET OF SEQUENCE { OBJECT IDENTIFIER, value }
 */

export class DerError extends Error {
  override readonly name = 'DerError';
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_IDENTIFIER = 0x06;
const VERSION = 0xa0;

/** Other attributes are named by their numbers, with their value in hex. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
]);

/** Encodings of text by tag. */
const TEXTS: ReadonlyMap<number, 'utf8' | 'latin1' | 'utf-16be'> = new Map([
  [0x0c, 'utf8'],
  [0x13, 'latin1'],
  [0x14, 'latin1'],
  [0x16, 'latin1'],
  [0x1e, 'utf-16be'],
]);

/** Throws {@link DerError} for what is no certificate. */
export function subjectOf(certificate: Uint8Array): string {
  const [toBeSigned] = elementsOf(expect(elementAt(certificate, 0), SEQUENCE));
  const fields = elementsOf(expect(toBeSigned, SEQUENCE));
  const subject = fields[fields[0]?.tag === VERSION ? 5 : 4];
  const names = elementsOf(expect(subject, SEQUENCE)).map((set) =>
    elementsOf(expect(set, SET)).map(attributeText).join('+'),
  );
  return names.reverse().join(',');
}

function attributeText(attribute: Element): string {
  const [type, value] = elementsOf(expect(attribute, SEQUENCE));
  if (value === undefined) throw new DerError('an attribute without a value');
  const oid = objectIdentifier(expect(type, OBJECT_IDENTIFIER));
  const name = NAMES.get(oid);
  const encoding = TEXTS.get(value.tag);
  if (name === undefined || encoding === undefined)
    return `${name ?? oid}=#${Buffer.from(value.whole).toString('hex')}`;
  return `${name}=${escaped(textOf(value.content, encoding))}`;
}

function textOf(bytes: Uint8Array, encoding: 'utf8' | 'latin1' | 'utf-16be'): string {
  return encoding === 'utf-16be'
    ? new TextDecoder('utf-16be').decode(bytes)
    : Buffer.from(bytes).toString(encoding);
}

/** RFC 2253, section 2.4. */
function escaped(text: string): string {
  return text
    .replaceAll(/[,+"\\<>;]/g, String.raw`\$&`)
    .replace(/^[ #]+/, eachEscaped)
    .replace(/ +$/, eachEscaped);
}

function eachEscaped(text: string): string {
  return text.replaceAll(/./g, String.raw`\$&`);
}

function expect(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new DerError(`expected an element of tag ${tag}, not ${element?.tag}`);
  return element;
}

function elementsOf({ content }: Element): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < content.length;) {
    const element = elementAt(content, at);
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

const LONG_FORM = 0x80;
const LENGTH_BYTES_MAX = 4;

function elementAt(bytes: Uint8Array, start: number): Element {
  const tag = bytes[start];
  let length = bytes[start + 1];
  let at = start + 2;
  if (tag === undefined || length === undefined) throw new DerError('an element is cut off');
  if (length >= LONG_FORM) {
    const lengthBytes = length - LONG_FORM;
    if (lengthBytes === 0 || lengthBytes > LENGTH_BYTES_MAX) throw new DerError('a length is out of bounds');
    length = 0;
    for (const end = at + lengthBytes; at < end; at++) length = length * 256 + (bytes[at] ?? 0);
  }
  const end = at + length;
  if (end > bytes.length) throw new DerError('an element is cut off');
  return { tag, content: bytes.subarray(at, end), whole: bytes.subarray(start, end) };
}

/** Dotted; the first byte holds two numbers, and bytes with the high bit set go on. */
function objectIdentifier({ content }: Element): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join('.');
}
