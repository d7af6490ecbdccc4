// The forward pass against another runtime's logits for the same tiny random models (tests/regress/make_model_goldens wrote them).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

struct Golden {
    std::string words;
    std::vector<uint32_t> tokens;
    std::map<uint32_t, std::vector<std::pair<uint32_t, float>>> top;  // per position: ids and logits, largest first
};

Golden read_golden(const std::filesystem::path& path) {
    Golden golden;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string kind;
        words >> kind;
        if (kind == "words") std::getline(words >> std::ws, golden.words);
        if (kind == "tokens") golden.tokens.assign(std::istream_iterator<uint32_t>(words), {});
        if (kind != "at") continue;
        uint32_t position = 0, id = 0;
        float logit = 0;
        words >> position;
        while (words >> id >> logit) golden.top[position].emplace_back(id, logit);
    }
    return golden;
}

std::vector<std::filesystem::path> golden_files() {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(ATLAS_TEST_DATA "/golden/model")) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

class GoldenLogits : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenLogits, AreThoseOfAnotherRuntime) {
    const Golden golden = read_golden(GetParam());
    ASSERT_GE(golden.tokens.size(), 64u);
    ASSERT_GE(golden.top.size(), 8u);
    const TempDir dir;
    const auto shape = testing::tiny_shape(golden.words);
    testing::write_tiny_model(dir / "tiny.gguf", shape);
    const auto backend = make_ref_backend();
    const SessionShape session_shape{.n_ctx = 96, .n_batch = 80, .max_outputs = 80, .kv_format = Format::f32};
    const auto running = testing::start_model(dir / "tiny.gguf", *backend, session_shape);
    const auto logits = testing::all_logits(*running.session, golden.tokens);
    for (const auto& [position, top] : golden.top) {
        ASSERT_EQ(top.size(), 16u);
        const auto row = std::span(logits).subspan(position * shape.n_vocab, shape.n_vocab);
        for (const auto& [id, logit] : top) EXPECT_NEAR(row[id], logit, 5e-5) << "position " << position << ", token " << id;
        // 16 right values of 97 are not enough if another one is larger.
        const auto larger = std::count_if(row.begin(), row.end(), [&](float v) { return v > top.back().second + 1e-4f; });
        EXPECT_LE(larger, 15) << "position " << position;
    }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLogits, ::testing::ValuesIn(golden_files()),
                         [](const auto& param) { return param.param.stem().string(); });

TEST(GoldenLogits, CoverEveryArchitecture) {
    std::set<std::string, std::less<>> covered;
    for (const auto& path : golden_files()) covered.insert(testing::tiny_shape(read_golden(path).words).architecture);
    for (const Architecture* architecture : architectures()) EXPECT_TRUE(covered.contains(architecture->name)) << architecture->name;
}

}  // namespace
}  // namespace atlas
