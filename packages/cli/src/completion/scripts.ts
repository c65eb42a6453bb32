import type { CompletionNode } from './tree.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Whose arguments or options name files. */
const FILE_COMMANDS = ['start', 'produce', 'dump-log'];
const FILES_PATTERN = FILE_COMMANDS.map((path) => `'${path}'`).join('|');

/** A script for the shell to evaluate. It asks `polylog complete` for names of topics and groups, and needs no broker for the rest. */
export function completionScript(shell: Shell, tree: readonly CompletionNode[]): string {
  switch (shell) {
    case 'bash':
      return bash(tree);
    case 'zsh':
      return zsh(tree);
    case 'fish':
      return fish(tree);
  }
}

/** A shell pattern that matches each path but the program's own. */
function pathPattern(tree: readonly CompletionNode[]): string {
  return tree
    .filter(({ path }) => path !== '')
    .map(({ path }) => `'${path}'`)
    .join('|');
}

function cases(tree: readonly CompletionNode[], one: (node: CompletionNode) => string): string {
  return tree.map((node) => `    '${node.path}') ${one(node)} ;;`).join('\n');
}

function bash(tree: readonly CompletionNode[]): string {
  const words = cases(tree, (node) => `words='${node.words.map(({ text }) => text).join(' ')}'`);
  const names = cases(
    tree.filter((node) => node.names !== undefined),
    (node) => `names=${node.names}`,
  );
  return `# Completion of polylog for bash: eval "$(polylog completion bash)"
_polylog() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= words= names= word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "\${path:+$path }$word" in
      ${pathPattern(tree)}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${words}
  esac
  case "$path" in
${names}
  esac
  [[ -n $names && $current != -* ]] && words+=" $("$1" complete "$names" 2>/dev/null)"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _polylog polylog
`;
}

function zsh(tree: readonly CompletionNode[]): string {
  const described = cases(
    tree,
    (node) =>
      `described=(${node.words.map(({ text, description }) => `'${text}:${zshText(description)}'`).join(' ')})`,
  );
  const names = cases(
    tree.filter((node) => node.names !== undefined),
    (node) => `names=${node.names}`,
  );
  return `#compdef polylog
# Completion of polylog for zsh: eval "$(polylog completion zsh)", after compinit
_polylog() {
  local path_= names= word
  local -a described known
  for word in \${words[2,CURRENT-1]}; do
    case "\${path_:+$path_ }$word" in
      ${pathPattern(tree)}) path_="\${path_:+$path_ }$word" ;;
    esac
  done
  case "$path_" in
${described}
  esac
  case "$path_" in
${names}
  esac
  if [[ -n $names && $PREFIX != -* ]]; then
    known=(\${(f)"$($words[1] complete $names 2>/dev/null)"})
    (( $#known )) && compadd -a known
  fi
  _describe 'polylog' described
  case "$path_" in
    ${FILES_PATTERN}) _files ;;
  esac
}
compdef _polylog polylog
`;
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
}

function fish(tree: readonly CompletionNode[]): string {
  const lines = tree.flatMap(({ path, words, names }) => {
    const at = `-n '__polylog_at "${path}"'`;
    const known =
      names === undefined ? [] : [`complete -c polylog ${at} -a '(polylog complete ${names} 2>/dev/null)'`];
    return [...words.map((word) => fishLine(at, word.text, word.description)), ...known];
  });
  const paths = tree.map(({ path }) => `'${path}'`).join(' ');
  return `# Completion of polylog for fish: polylog completion fish | source
function __polylog_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l longer (string trim "$path $word")
    contains -- "$longer" ${paths}; and set path $longer
  end
  test "$path" = "$argv[1]"
end
complete -c polylog -f
${FILE_COMMANDS.map((path) => `complete -c polylog -n '__polylog_at "${path}"' -F`).join('\n')}
${lines.join('\n')}
`;
}

function fishLine(at: string, text: string, description: string): string {
  const about =
    description === '' ? '' : ` -d '${description.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (text.startsWith('--')) return `complete -c polylog ${at} -l ${text.slice(2)}${about}`;
  if (text.startsWith('-')) return `complete -c polylog ${at} -s ${text.slice(1)}${about}`;
  return `complete -c polylog ${at} -a ${text}${about}`;
}
