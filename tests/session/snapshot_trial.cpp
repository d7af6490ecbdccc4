#include "tests/session/snapshot_trial.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/sha256.h"
#include "tests/reference/ref_backend.h"

namespace atlas::testing {

namespace {

SessionShape shape_of(uint32_t n_pages) {
    const uint32_t n_tokens = n_pages * kPageTokens;
    return {.pool_tokens = n_tokens,
            .n_ctx = n_tokens,
            .n_batch = n_tokens,
            .max_outputs = 1,
            .max_timelines = 2,
            .kv_format = {Format::f16, Format::q5_1}};
}

std::filesystem::path written_model(const std::filesystem::path& path) {
    TinyShape shape = smallest_shape();
    shape.head_dim = 64;  // rows of keys and values without padding, so that every byte of a page counts
    write_tiny_model(path, shape);
    return path;
}

}  // namespace

void seal_snapshot(std::vector<std::byte>& bytes) {
    if (bytes.size() < kSnapshotChecksumBytes) return;
    Sha256 hash;
    hash.add(bytes.data(), bytes.size() - kSnapshotChecksumBytes);
    const std::string digits = hash.hexadecimal();
    std::memcpy(bytes.data() + bytes.size() - kSnapshotChecksumBytes, digits.data(), kSnapshotChecksumBytes);
}

SnapshotTrial::SnapshotTrial()
    : backend_(make_ref_backend()),
      batch_(start_batch(written_model(dir_ / "tiny.gguf"), *backend_, shape_of(4))),
      larger_(start_batch(dir_ / "tiny.gguf", *backend_, shape_of(5))),
      expected_(other_text()) {}

std::vector<std::vector<std::byte>> SnapshotTrial::right_snapshots() {
    std::vector<std::vector<std::byte>> all;
    for (const uint32_t n : {0u, 1u, 31u, 32u, 33u, 70u, 128u, 160u}) {
        Timeline timeline(larger_.runner->pool());
        if (n > 0) (void)run_tokens(*larger_.runner, timeline, tiny_tokens(n, 13, n));
        all.push_back(snapshot(timeline).value());
    }
    return all;
}

std::vector<float> SnapshotTrial::other_text() {
    Timeline timeline(batch_.runner->pool());
    return run_tokens(*batch_.runner, timeline, {3, 1, 4, 1, 5});
}

std::optional<ErrorCode> SnapshotTrial::attempt(std::span<const std::byte> sealed) {
    StepRunner& runner = *batch_.runner;
    KvPool& pool = runner.pool();
    const auto is_same = [&](const Timeline& timeline) {
        const auto again = snapshot(timeline);
        return again && std::equal(again->begin(), again->end(), sealed.begin(), sealed.end());
    };
    {
        auto timeline = restore(pool, sealed);
        if (!timeline) {
            ATLAS_CHECK(!timeline.error().message.empty() && timeline.error().message.size() < 1000, "{}",
                        timeline.error().message);
            ATLAS_CHECK(pool.n_in_use() == 0 && pool.n_kept() == 0, "{} and {} pages after a refusal", pool.n_in_use(),
                        pool.n_kept());
            return timeline.error().code;
        }
        for (const TokenId token : timeline->tokens())
            ATLAS_CHECK(token < pool.model().config().n_vocab, "token {}", token);
        ATLAS_CHECK(is_same(*timeline), "restored, it is another snapshot");
        {
            const auto twin = restore(pool, sealed);  // on the full pages of the first; its last page may find no room
            ATLAS_CHECK(twin ? is_same(*twin) : twin.error().code == ErrorCode::out_of_memory, "{}",
                        twin ? "another twin" : twin.error().message);
        }
        const bool has_room =
            timeline->tokens().size() < runner.shape().n_ctx && timeline->pages_needed(1) <= pool.n_available();
        if (has_room) (void)run_tokens(runner, *timeline, {5});
    }
    pool.forget_kept();
    ATLAS_CHECK(pool.n_in_use() == 0 && pool.n_kept() == 0, "{} and {} pages stay", pool.n_in_use(), pool.n_kept());
    ATLAS_CHECK(other_text() == expected_, "another text computes something else");
    return {};
}

}  // namespace atlas::testing
