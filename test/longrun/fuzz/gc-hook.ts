// Loaded into the broker's process before its own modules (--import): on request it collects garbage, so that memory
// which is still in use can be told from memory that V8 has not got round to freeing. The broker's code knows nothing of it.
import process from 'node:process';
import v8 from 'node:v8';
import vm from 'node:vm';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

process.on('message', () => {
  collect();
  collect();
  process.send?.(process.memoryUsage());
});
process.channel?.unref();
