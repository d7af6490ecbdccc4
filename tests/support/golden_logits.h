#pragma once
// Another runtime's logits for small models: tests/golden/model, written by tests/regress/make_model_goldens.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas::testing {

struct Golden {
    std::string words;  // of a tiny random model, or
    std::string file;   // below tests/
    std::vector<uint32_t> tokens;
    std::map<uint32_t, std::vector<std::pair<uint32_t, float>>> top;  // per position: ids and logits, largest first
};

inline Golden read_golden(const std::filesystem::path& path) {
    Golden golden;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string kind;
        words >> kind;
        if (kind == "words") std::getline(words >> std::ws, golden.words);
        if (kind == "file") words >> golden.file;
        if (kind == "tokens") golden.tokens.assign(std::istream_iterator<uint32_t>(words), {});
        if (kind != "at") continue;
        uint32_t position = 0, id = 0;
        float logit = 0;
        words >> position;
        while (words >> id >> logit) golden.top[position].emplace_back(id, logit);
    }
    return golden;
}

inline std::vector<std::filesystem::path> golden_files() {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(ATLAS_TEST_DATA "/golden/model"))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

/// Runs the golden's model on `backend` in chunks of `n_batch` and compares. `tolerance`: of a logit.
inline void expect_golden(const std::filesystem::path& path, Backend& backend, uint32_t n_batch, float tolerance) {
    const Golden golden = read_golden(path);
    ASSERT_GE(golden.tokens.size(), 64u);
    ASSERT_GE(golden.top.size(), 8u);
    const TempDir dir;
    std::filesystem::path model = std::filesystem::path(ATLAS_TEST_DATA) / golden.file;
    if (golden.file.empty()) write_tiny_model(model = dir / "tiny.gguf", tiny_shape(golden.words));
    const SessionShape shape{.n_ctx = 96, .n_batch = n_batch, .max_outputs = n_batch, .kv_format = Format::f32};
    const auto running = start_model(model, backend, shape);
    const uint32_t n_vocab = running.model->config().n_vocab;
    const auto logits = all_logits(*running.session, golden.tokens);
    for (const auto& [position, top] : golden.top) {
        ASSERT_EQ(top.size(), 16u);
        const auto row = std::span(logits).subspan(uint64_t{position} * n_vocab, n_vocab);
        for (const auto& [id, logit] : top)
            EXPECT_NEAR(row[id], logit, tolerance) << "position " << position << ", token " << id;
        // 16 right values are not enough if another one is larger.
        const float limit = top.back().second + 2 * tolerance;
        const auto larger = std::count_if(row.begin(), row.end(), [limit](float v) { return v > limit; });
        EXPECT_LE(larger, 15) << "position " << position;
    }
}

}  // namespace atlas::testing
