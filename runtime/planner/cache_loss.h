#pragma once
// What a quantized cache costs in quality: measured on a few models, and carried over to others by what their keys look like.
//
// Keys make nearly all of the loss, and what makes keys hard to round is a bias that rope turns with the position: what key_shift leaves of it
// (runtime/model/key_shift.h) is measured from the file. A model costs what the measured model with the next larger rest costs.

#include "runtime/gguf/reader.h"
#include "runtime/ops/kv_layout.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

/// What of a model decides how well its cache can be rounded.
struct CacheTraits {
    bool fitted = false;       // by atlas-vk fit-cache
    double key_bias_left = 0;  // see key_bias_left() of runtime/model/key_shift.h; infinite: there are biases, and nobody looked at them
};
CacheTraits cache_traits(const ModelShape& model);
/// Reads the biases of the keys, a few kilobytes. Those of an architecture that this build does not know count as infinite.
CacheTraits cache_traits(const gguf::File& file);

/// What a cache costs in perplexity, as a share, and where that was measured; hardly ever on this model.
struct KvCost {
    double perplexity_share = 0;
    std::string source;
    bool is_least = false;  // the model's keys are harder than those of every model that was measured: it may cost more
    bool measured = false;  // with these very formats, rotation and fit (unquantized: nothing to measure); else an estimate, which serves to rank
};
/// Of the rows of the measured model that is as hard as this one or the next harder: the pair's own row with the same rotation (fitted: by the
/// model's own matrices, where that was measured), else the sum of keys alone and values alone, each in this format or the next less exact one
/// that was measured. What was not measured of it comes from the next harder one; values, which differ little, from an easier one before that.
KvCost kv_cost_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits);

/// More than this is never proposed, and `run` warns of it: weights of Q4_0 cost 7.5 %, of Q4_K_S 4.3 %. Where it is the least that a model may lose,
/// a fifth of that.
inline constexpr double kHurtfulShare = 0.05;
inline bool is_hurtful(const KvCost& cost) { return cost.perplexity_share > (cost.is_least ? kHurtfulShare / 5 : kHurtfulShare); }

/// What to take where an f16 cache does not fit, turned as by default: q8_0, and the smallest of q4_0 and q8_0 keys with q4_0 values; none that
/// is hurtful.
std::vector<KvFormats> smaller_caches(const Catalogue& catalogue, const CacheTraits& traits);

/// What to tell somebody who asked for a cache that is hurtful: by how much, where that was measured, and what costs less. Empty: it is not.
std::string warning_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits);

}  // namespace atlas
