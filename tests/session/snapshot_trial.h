#pragma once
// The required outcome of restoring any bytes: for the fuzz target and for the test that damages snapshots at random.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "runtime/session/cache/snapshot.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"

namespace atlas::testing {

inline constexpr size_t kSnapshotHeaderBytes = 136;
inline constexpr size_t kSnapshotChecksumBytes = 64;

/// Corrects the checksum, or the checks after it would never be reached. Shorter bytes stay as they are.
void seal_snapshot(std::vector<std::byte>& bytes);

/// A pool of four pages, f16 keys and q5_1 values: every byte of the pages is read back as a number or as a scale.
class SnapshotTrial {
  public:
    SnapshotTrial();

    /// Valid snapshots of 0 to 128 tokens, and one of 160, which the pool has no room for.
    std::vector<std::vector<std::byte>> right_snapshots();

    /// Restores sealed bytes, twice, and runs a token after them. Aborts unless they end in an error that leaves the
    /// pool as it was, or in a timeline that gives the same snapshot and of which nothing stays when it ends: not a
    /// page, and no trace in what another text computes.
    /// Returns the error, or nothing.
    std::optional<ErrorCode> attempt(std::span<const std::byte> sealed);

    size_t page_bytes() { return batch_.runner->pool().page_bytes(); }

  private:
    std::vector<float> other_text();

    TempDir dir_;
    std::unique_ptr<Backend> backend_;
    RunningBatch batch_, larger_;
    std::vector<float> expected_;  // of other_text()
};

}  // namespace atlas::testing
