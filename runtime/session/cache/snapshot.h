#pragma once
// A timeline as bytes: its tokens and their keys and values, for memory or for a file.
// Layout, little-endian: Header (snapshot.cpp); n_tokens ids of 4 bytes; the pages as KvPool::read_page returns them;
// 64 hexadecimal digits of the SHA-256 of everything before. A checksum finds damage, not forgery: restore only files
// that you trust as you trust a program you run.

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "runtime/session/cache/timeline.h"

namespace atlas {

/// Fails: device_lost, out_of_memory.
Result<std::vector<std::byte>> snapshot(const Timeline& timeline);
/// Writes the same bytes to a file, which appears complete or not at all. Also fails: not_found (no such folder), io.
Result<void> save_timeline(const Timeline& timeline, const std::filesystem::path& path);

/// Restores the timeline as it was. Full pages that the pool still has are not copied again. The pool is unchanged on
/// failure.
/// Fails: corrupt (cut, damaged, or no snapshot), invalid_argument (of another model, cache format or layout: names
/// expected and found), out_of_memory (pages needed and there), device_lost.
Result<Timeline> restore(KvPool& pool, std::span<const std::byte> bytes);
/// Also fails: not_found, io. The file's name is in the message.
Result<Timeline> load_timeline(KvPool& pool, const std::filesystem::path& path);

}  // namespace atlas
