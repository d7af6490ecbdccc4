#pragma once
// Where weights lie: matrices that read the same activations lie one after the other in one storage, so that a backend
// can run them as one matrix (joined_rows). Decided before anything is allocated.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/model/weights.h"

namespace atlas {

struct WeightPlaces {
    struct Place {
        size_t storage = 0;
        uint64_t offset_bytes = 0;
    };
    struct Piece {
        std::string name;  // of its tensors
        uint64_t bytes = 0;
    };
    std::vector<Place> of;        // [weights]
    std::vector<Piece> storages;  // in the order of their first weights
};

/// Weights of a layer that go together (WeightRule::together) share a storage in the order of their rules, those of
/// equal format, layout and columns. A storage never takes more than max_storage_bytes because of it.
WeightPlaces place_weights(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes);

}  // namespace atlas
