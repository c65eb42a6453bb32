import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type ParsedNode } from 'yaml';
import { ConfigError, type RawSetting } from './load.ts';

/**
 * The settings of a YAML file, nested maps joined with dots, lists with commas. Throws {@link ConfigError} that names file and line.
 */
export function yamlSettings(path: string, content: string): RawSetting[] {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  const where = (position: number): string => `${path}:${lines.linePos(position).line}`;
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${where(error.pos[0])}: ${error.message}`));
  }
  const settings: RawSetting[] = [];
  const mistakes: string[] = [];
  const visit = (prefix: string, node: ParsedNode | null): void => {
    if (node === null) return;
    const at = where(node.range[0]);
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : undefined;
        if (name === undefined) mistakes.push(`${at}: names of settings are plain text`);
        else visit(prefix === '' ? name : `${prefix}.${name}`, value);
      }
    } else if (prefix === '') {
      if (!isScalar(node) || node.value !== null)
        mistakes.push(`${at}: expected settings, as in "num.partitions: 3"`);
    } else if (isScalar(node)) {
      // The text as written, so that 010 or 1e3 are judged by the setting and not by YAML.
      const text = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
      if (node.value === null) mistakes.push(`${at}: ${prefix} has no value`);
      else settings.push({ name: prefix, text, source: 'file', where: at });
    } else if (isSeq(node) && node.items.every((item) => isScalar(item))) {
      const text = node.items.map((item) => String((item as { value: unknown }).value)).join(',');
      settings.push({ name: prefix, text, source: 'file', where: at });
    } else {
      mistakes.push(
        `${at}: ${prefix} must be a plain value or a list of them${isAlias(node) ? ', not an alias' : ''}`,
      );
    }
  };
  visit('', document.contents);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return settings;
}
