// Loaded into the broker's process before its own modules (--import): on request it collects garbage, so that memory
// which is still in use can be told from memory that V8 has not got round to freeing. The broker's code knows nothing of it.
import process from 'node:process';
import v8 from 'node:v8';
import vm from 'node:vm';

v8.setFlagsFromString('--expose-gc');
type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
const collect = vm.runInNewContext('gc') as Collect;

process.on('message', () => {
  // As V8 does before it gives up for want of memory: it also returns the pages that it keeps for later.
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  process.send?.(process.memoryUsage());
});
process.channel?.unref();
