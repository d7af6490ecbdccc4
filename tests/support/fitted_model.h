#pragma once
// Tiny models with matrices that rotate their keys (runtime/model/cache_rotation.h), for tests.

#include "runtime/session/fit/cache_rotation_fit.h"
#include "tests/support/run_logits.h"
#include "tests/support/tiny_model.h"

namespace atlas::testing {

/// The model of `shape`, fitted to a random text. `path` holds the plain model for a moment. Aborts with the message
/// on any error.
inline void write_fitted_model(const std::filesystem::path& path, TinyShape shape, Backend& backend,
                               uint64_t text_seed) {
    constexpr uint32_t kTokens = 64;
    write_tiny_model(path, shape);
    const auto turns = [&] {
        const auto plain =
            start_model(path, backend, {.n_ctx = 96, .n_batch = kTokens, .max_outputs = 1, .kv_format = Format::f32});
        return fit_cache_rotations(*plain.model, tiny_tokens(kTokens, shape.n_vocab, text_seed));
    }();
    ATLAS_CHECK(turns.has_value(), "{}", turns.error().message);
    shape.more = [&turns](gguf::Writer& writer) { add_cache_rotations(*turns, writer); };
    write_tiny_model(path, shape);
}

}  // namespace atlas::testing
