/** Files that storage needs open at least, whatever the setting. */
const OPEN_FILES_MIN = 16;
/** Bounds of what is chosen where the setting says nothing: each open file costs the system about a kibibyte. */
const OPEN_FILES_CHOSEN = { min: 2000, max: 50_000 } as const;
/** Descriptors for all that is neither a segment nor a client. */
const DESCRIPTORS_RESERVED = 1000;

/**
 * Files of segments that are kept open. Logs that take turns at too few of them are opened and closed for each append, which costs more than
 * the append. `descriptorsMax`: what the process may open; undefined where that is not known.
 */
export function openFilesMaxOf(
  settings: { readonly 'files.open.max': number; readonly 'max.connections': number },
  descriptorsMax: number | undefined,
): number {
  const wanted = settings['files.open.max'];
  if (wanted > 0) return Math.max(wanted, OPEN_FILES_MIN);
  const left = (descriptorsMax ?? 0) - settings['max.connections'] - DESCRIPTORS_RESERVED;
  return Math.min(Math.max(left, OPEN_FILES_CHOSEN.min), OPEN_FILES_CHOSEN.max);
}
