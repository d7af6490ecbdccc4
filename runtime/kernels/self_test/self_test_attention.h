#pragma once
// The self-test of attention variants, see self_test.h.

#include "runtime/kernels/select/attention_variant.h"
#include "runtime/ops/backend.h"

namespace atlas {

/// An attention and the variant chosen for it.
struct AttentionUse {
    AttentionVariant variant;
    AttentionShape shape;
};

/// What KernelChoices::rejected calls it.
inline std::string rejection_key(const AttentionUse& use) { return use.variant.name(); }

/// A short cache, few tokens and at most two KV heads; head sizes, formats and pages as they are. Pure.
AttentionShape self_test_shape(const AttentionUse& use);

/// Writes random keys and values into a cache and compares up to 4 tokens of attention over it with the CPU. Returns
/// the largest error as a share of what rounding and the cache's formats explain: above 1 is wrong. Fails: as
/// matmul_error.
Result<double> attention_error(Backend& backend, const AttentionShape& shape);

}  // namespace atlas
