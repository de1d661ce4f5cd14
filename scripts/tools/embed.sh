#!/bin/sh
# Writes, to stdout, a C file that holds Lua files as byte arrays: the library goes into the binary.
#   embed.sh lua/muster/init.lua lua/muster/text.lua re=/usr/share/lua/5.4/re.lua > embedded.c
# lua/muster/init.lua becomes module "muster", lua/muster/text.lua "muster.text"; NAME=FILE gives the name itself.
# lua/types/muster.lua becomes the text "types.muster", which cannot be required.
set -eu

module_name() { # path below lua/ -> module name
  name=${1%.lua}
  name=${name%/init}
  printf '%s\n' "$name" | tr / .
}

bytes() { # file -> 0x6c,0x6f,...
  od -An -v -tx1 "$1" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
}

echo '/* Made by scripts/tools/embed.sh; the sources are under lua/. */'
echo '#include "bind/embedded.h"'

index=0
table=''
for item in "$@"; do
  is_text=0
  case $item in
    lua/types/*) file=$item path=${item#lua/} name=$(module_name "$path") is_text=1 ;;
    *=*) name=${item%%=*} file=${item#*=} path=$name.lua ;;
    lua/*) file=$item path=${item#lua/} name=$(module_name "${item#lua/}") ;;
    *) echo "embed.sh: neither lua/... nor NAME=FILE: $item" >&2; exit 2 ;;
  esac
  [ -r "$file" ] || { echo "embed.sh: cannot read $file" >&2; exit 1; }
  printf '\nstatic const unsigned char code_%d[] = { /* %s */\n' "$index" "$path"
  bytes "$file"
  echo '0}; /* the zero is not counted */'
  table="$table  {\"$name\", \"$path\", code_$index, sizeof code_$index - 1, $is_text},
"
  index=$((index + 1))
done

printf '\nconst mu_embedded_module mu_embedded[] = {\n%s  {0},\n};\n' "$table"
