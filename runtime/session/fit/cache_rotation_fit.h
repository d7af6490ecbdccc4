#pragma once
// Fits the matrices of model/cache_rotation.h: runs a text through the model once and evaluates its keys, queries and
// values.

#include <functional>
#include <stop_token>
#include <vector>

#include "runtime/model/cache_rotation.h"
#include "runtime/session/single/session.h"

namespace atlas {

/// Most tokens that a fit uses, in one step.
inline constexpr uint32_t kFitTokens = 512;

/// The SessionShape that the fit takes; the model must be loaded with room for it.
SessionShape fit_shape(uint32_t n_tokens);

/// Lets a caller observe and stop a fit, which takes minutes.
struct FitWatch {
    std::stop_token stop = {};
    std::function<void(uint32_t done, uint32_t total)> progress = {};  // in pieces of about equal work
};

/// Fits the rotations of every layer: [n_layer]. Keys and queries are taken before rope and rotated by rope, four
/// times, to positions all over a context of 2,048 tokens (at most the model's own), so that the fit holds for more
/// than the few hundred positions of its own text.
/// The same tokens on the same device give the same numbers. Fails: invalid_argument (fewer than 32 tokens, more than
/// kFitTokens; a model that was fitted already), out_of_memory, device_lost, corrupt (keys that are not finite),
/// cancelled.
Result<std::vector<LayerRotations>> fit_cache_rotations(const Model& model, std::span<const TokenId> tokens,
                                                        const FitWatch& watch = {});

}  // namespace atlas
