#pragma once
// Loads a model file on a backend and computes logits, for tests.

#include <cmath>
#include <filesystem>
#include <memory>
#include <vector>

#include "runtime/session/single/session.h"

namespace atlas::testing {

/// A loaded model with one session; the backend must outlive it. Aborts with the message on any error.
struct Running {
    std::shared_ptr<const Model> model;
    std::unique_ptr<Session> session;
};

/// `architecture`: instead of the file's.
inline Running start_model(const std::filesystem::path& path, Backend& backend, const SessionShape& shape,
                           const Architecture* architecture = nullptr) {
    auto file = gguf::File::open(path);
    ATLAS_CHECK(file.has_value(), "{}", file.error().message);
    auto model = Model::load(*file, backend, shape, {}, architecture);
    ATLAS_CHECK(model.has_value(), "{}", model.error().message);
    auto session = Session::create(*model, shape);
    ATLAS_CHECK(session.has_value(), "{}", session.error().message);
    return {*model, std::move(*session)};
}

/// [tokens.size() * n_vocab]
inline std::vector<float> all_logits(Session& session, const std::vector<uint32_t>& tokens) {
    std::vector<float> rows;
    const auto done = session.logits_of_all(tokens, [&](uint32_t, std::span<const float> logits) -> Result<void> {
        rows.insert(rows.end(), logits.begin(), logits.end());
        return {};
    });
    ATLAS_CHECK(done.has_value(), "{}", done.error().message);
    return rows;
}

inline float largest_difference(std::span<const float> a, std::span<const float> b) {
    ATLAS_CHECK_EQ(a.size(), b.size());
    float largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);  // also true for a NaN
    }
    return largest;
}

}  // namespace atlas::testing
