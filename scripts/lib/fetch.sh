# shellcheck shell=bash disable=SC2154 # names that the calling script sets
# SPDX-License-Identifier: Apache-2.0
# What the scripts share that find a library (or a peer to measure), or fetch and build it once: messages, compiler and
# flags, the cache, the order of the places to look at, and the machine's own Debian mirror. Sourced under `set -euo pipefail`.

me=$(basename "$0")
say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { say "$@"; exit 1; }

at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Compiler and flags -------------------------------------------------------------------------------------------------

cc=${CC:-cc}
# Both languages by one compiler: AWS-LC picks its warning flags for the two at once.
case $cc in
  *clang*) cxx=${CXX:-${cc/clang/clang++}} ;;
  *gcc*) cxx=${CXX:-${cc/gcc/g++}} ;;
  *) cxx=${CXX:-c++} ;;
esac
command -v "${cc%% *}" >/dev/null || die "no C compiler ($cc): run scripts/deps build"

# use_variant plain|tsan: sets the flags that libraries are compiled with.
use_variant() {
  variant=$1 sanitize=
  # What a library marks as its API may stay visible in the archive; meson.build links with --exclude-libs, which hides that
  # too: other libraries of the process may bring an OpenSSL of their own, and neither may see the other's symbols.
  flags='-fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector-strong'
  case $(uname -m) in x86_64 | i?86) flags+=' -fcf-protection' ;; esac
  # Only where the optimiser runs: CMake's probes do without it, and clang then warns.
  release_flags='-O3 -DNDEBUG -D_FORTIFY_SOURCE=2'
  case $variant in
    plain) ;;
    tsan) sanitize=-fsanitize=thread; flags+=" $sanitize" ;;
    *) die "unknown variant '$variant': expected plain or tsan" ;;
  esac
}

# build_key [MORE...]: stands for the variant, the flags, the compiler, and MORE.
build_key() {
  { echo "$variant $flags $release_flags"; [ $# = 0 ] || printf '%s\n' "$@"; $cc --version; } | sha256sum | cut -c1-12
}

# lib_dirs PREFIX: the linker's arguments that name where its libraries may be.
lib_dirs() { echo "-L$1/lib -L$1/lib64 -L$1/lib/$($cc -dumpmachine) -Wl,-rpath,$1/lib"; }

# probe FAULT ARGUMENT...: compiles the program on standard input with ARGUMENTs and runs it. Prints what is wrong, which is
# FAULT where the program says so, or nothing.
probe() {
  local fault=$1 work
  shift
  work=$(mktemp -d)
  cat >"$work/probe.c"
  # shellcheck disable=SC2086
  if ! $cc $sanitize "$work/probe.c" -o "$work/probe" "$@" 2>"$work/log"; then
    echo "does not link: $(tail -n 1 "$work/log")"
  elif ! "$work/probe"; then
    echo "$fault"
  fi
  rm -rf "$work"
}

# The cache ----------------------------------------------------------------------------------------------------------

if [ -n "${CARDEA_CACHE:-}" ]; then cache=$CARDEA_CACHE
elif [ -n "${XDG_CACHE_HOME:-}" ]; then cache=$XDG_CACHE_HOME/cardea
elif [ -n "${HOME:-}" ]; then cache=$HOME/.cache/cardea
else die "no place for the cache: set CARDEA_CACHE or HOME"; fi

# enter_cache LOCK: one builder at a time, with a scratch folder of its own; whoever waited looks again for the work done.
enter_cache() {
  mkdir -p "$cache"
  exec 9>"$cache/$1"
  flock 9
  scratch=$(mktemp -d "$cache/tmp.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
}

newest_archive() { find "$1" -maxdepth 1 -name "$archives" ! -name '*.asc' 2>/dev/null | sort -V | tail -n 1 | grep .; }

# keep FILE: moves a fetched archive into the cache, and prints where it is now.
keep() {
  mkdir -p "$cache/archives"
  mv "$1" "$cache/archives/"
  echo "$cache/archives/$(basename "$1")"
}

# A library's prefix -------------------------------------------------------------------------------------------------
#
# The script that calls find_prefix sets
#   title, name     what the library is called in messages, and in the cache
#   own_name, own   the environment variable by which a user brings a library of his own, and its value
#   lock            the lock in the cache
#   known, refresh  as given by the caller
#   hash            of build_key
#   archives        a pattern of the names of archives with its source
#   cmake_options   an array
# and defines
#   fault_of PREFIX       prints why it cannot be used, or nothing
#   system_prefix         prints the system's, or fails
#   known_prefix          prints the one that the file $known names, or fails
#   tree_version TREE     prints the version of a source tree, or nothing if it is another project's
#   fetch_archive         fetches an archive and prints its path
#   unpack ARCHIVE        unpacks it into $scratch and prints the path of the source tree

# How a library gets here that could not be fetched.
advice() {
  echo "clone its public repository and set $own_name to that source tree (or to an installed prefix, or to an archive" \
    "of its source), or set CARDEA_ARCHIVES to a folder with such an archive ($archives)"
}

given_prefix() {
  local fault
  fault=$(fault_of "$own")
  [ -z "$fault" ] || die "$own_name: $fault"
  echo "$own"
}

cached_prefix() {
  local p newest=
  while read -r p; do newest=$p; done < <(find "$cache" -maxdepth 1 -type d -name "$name-*-$hash" 2>/dev/null | grep -v -- '-tree' | sort -V)
  [ -n "$newest" ] && echo "$newest"
}

# build SOURCE KEY: configures, compiles and installs SOURCE, and puts the result in the cache under KEY in one step.
build() {
  local src=$1 final=$cache/$name-$2-$hash work=$scratch/build made fault tool
  # The texts of assertions name files: not where they were built, which has a new name each time.
  local flags="$flags -ffile-prefix-map=$scratch=. -ffile-prefix-map=$src=$name"
  if [ -d "$final" ]; then echo "$final"; return; fi
  for tool in cmake ninja "${cxx%% *}"; do command -v "$tool" >/dev/null || die "no $tool: run scripts/deps build"; done
  say "building $2 ($variant) with $($cc --version | head -n 1)"
  if ! {
    cmake -G Ninja -S "$src" -B "$work" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
      -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_ASM_FLAGS="$flags" \
      -DCMAKE_C_FLAGS_RELEASE="$release_flags" -DCMAKE_CXX_FLAGS_RELEASE="$release_flags" \
      -DBUILD_TESTING=OFF -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$final" "${cmake_options[@]}" &&
      ninja -C "$work" &&
      DESTDIR=$scratch/root ninja -C "$work" install
  } >"$scratch/log" 2>&1; then
    tail -n 30 "$scratch/log" >&2
    die "the build of $title failed (above: the end of its output)"
  fi
  made=$scratch/root$final
  fault=$(fault_of "$made")
  [ -z "$fault" ] || die "what was built cannot be used: $fault"
  mv -T "$made" "$final"
  say "installed in $final"
  echo "$final"
}

# build_from SOURCE KEY WHERE: the same, after a look at its version; WHERE is its name in messages.
build_from() {
  local version
  version=$(tree_version "$1")
  [ -n "$version" ] || die "no sources of $title in $3"
  at_least "$min_version" "$version" || die "$3 is $title $version; cardea needs $min_version or newer"
  build "$1" "$version$2"
}

build_own() {
  local tree key
  if [ -d "$own" ]; then
    tree=$(cd "$own" && pwd -P)
    key=$({ echo "$tree"; git -C "$tree" rev-parse HEAD || true; } 2>/dev/null | sha256sum | cut -c1-8)
  else
    tree=$(unpack "$own")
    key=$(sha256sum <"$own" | cut -c1-8)
  fi
  build_from "$tree" "-tree$key" "$own_name ($own)"
}

find_prefix() {
  local archive='' tree
  if [ -n "$own" ]; then
    [ -e "$own" ] || die "$own_name: there is no $own"
    if [ -d "$own" ] && [ ! -f "$own/CMakeLists.txt" ]; then given_prefix; return; fi
  elif [ -z "$refresh" ]; then
    if [ -n "$known" ] && known_prefix; then return; fi
    if [ "$variant" = plain ] && system_prefix; then return; fi
    cached_prefix && return
  fi

  enter_cache "$lock"
  if [ -n "$own" ]; then build_own; return; fi
  if [ -z "$refresh" ]; then
    cached_prefix && return
    archive=$(newest_archive "${CARDEA_ARCHIVES:-/nonexistent}" || newest_archive "$cache/archives" || true)
  fi
  [ -n "$archive" ] || archive=$(fetch_archive)
  tree=$(unpack "$archive")
  build_from "$tree" '' "$archive"
}

# The machine's own Debian mirror ------------------------------------------------------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror main|security: the address of the mirror, or of its archive of security updates; fails where there is none.
debian_mirror() {
  local codename
  { command -v apt-get && [ -r "$keyring" ]; } >/dev/null || return 1
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v c="$codename" -v kind="$1" '$3 != "main" { next }
      kind == "security" ? $1 ~ /security/ : ($2 == c || $2 ~ /^(stable|testing|unstable|sid)$/) && $1 !~ /security/ { print $1; exit }' | grep .
}

in_apt_tree() { APT_CONFIG=$scratch/apt/apt.conf "$@"; }

# private_apt: an apt tree of our own that knows nothing but the "TYPE URI SUITE" on the lines of standard input.
private_apt() {
  local t=$scratch/apt
  rm -rf "$t"
  mkdir -p "$t"/{lists/partial,cache/archives/partial}
  : >"$t/status"
  awk -v k="$keyring" '{ print $1, "[signed-by=" k "]", $2, $3, "main" }' >"$t/sources.list"
  cat >"$t/apt.conf" <<CONF
Dir::State "$t";
Dir::State::Lists "$t/lists";
Dir::State::status "$t/status";
Dir::Cache "$t/cache";
Dir::Etc::SourceList "$t/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
CONF
  in_apt_tree apt-get -q update >"$scratch/log" 2>&1 || { tail -n 5 "$scratch/log" >&2; return 1; }
}

# fetch_source PACKAGE OLDEST: prints the path of the newest source archive in the apt tree that comes; the pool of a mirror
# can have holes.
fetch_source() {
  local version
  for version in $(in_apt_tree apt-cache showsrc "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -rVu); do
    at_least "$2" "$version" || break
    say "fetching the source of $1 $version"
    (cd "$scratch" && in_apt_tree apt-get -q source --download-only --tar-only "$1=$version") >"$scratch/log" 2>&1 || {
      tail -n 2 "$scratch/log" >&2
      continue
    }
    find "$scratch" -maxdepth 1 -name "$1_*.orig.tar.*" ! -name '*.asc' -print -quit | grep . && return
  done
  return 1
}
