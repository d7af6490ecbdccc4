// The self-test of kernel variants: right ones pass, wrong ones are found, reported, replaced and remembered.
#include "runtime/kernels/self_test/self_test.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "runtime/base/crash_note.h"
#include "runtime/kernels/select/kernel_choices_file.h"
#include "runtime/kernels/self_test/self_test_attention.h"
#include "runtime/kernels/vk_backend.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

VkBackendOptions options_for_tests() {
    VkBackendOptions options;
    options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_bench.pipelines";
    return options;
}

std::unique_ptr<VkBackend> open(const VkBackendOptions& options) {
    auto backend = make_vk_backend(options);
    EXPECT_TRUE(backend) << backend.error().message;
    return backend ? std::move(*backend) : nullptr;
}

/// Records a product of the shape, as a model would.
Result<void> use_product(VkBackend& backend, const MatmulShape& shape) {
    ATLAS_TRY(const auto w, backend.allocate(MemoryUse::output, shape.n_out * bytes_of(shape.weight, shape.n_in), "w"));
    ATLAS_TRY(const auto x, backend.allocate(MemoryUse::output, 4ull * shape.n_tokens * shape.n_in, "x"));
    ATLAS_TRY(const auto y, backend.allocate(MemoryUse::output, 4ull * shape.n_tokens * shape.n_out, "y"));
    ATLAS_TRY_VOID(backend.reserve_scratch(1 << 20));
    return backend
        .record("product",
                [&](Ops& ops) {
                    ops.matmul(dense(*w, shape.weight, shape.n_out, shape.n_in),
                               dense(*x, Format::f32, shape.n_tokens, shape.n_in),
                               dense(*y, Format::f32, shape.n_tokens, shape.n_out));
                })
        .map([](const auto&) {});
}

TEST(SelfTestShape, KeepsRemaindersAndCoversATile) {
    MatmulUse use;
    use.variant.tile_out = 64;
    use.variant.tile_tokens = 32;
    use.shape = {Format::q4_k, 5120, 27648, 512};
    MatmulShape small = self_test_shape(use);
    EXPECT_EQ(small.n_out, 128u);
    EXPECT_EQ(small.n_tokens, 64u);
    EXPECT_EQ(small.n_in, 2048u);
    use.shape = {Format::q4_k, 5121, 896, 33};
    small = self_test_shape(use);
    EXPECT_EQ(small.n_out, 65u);
    EXPECT_EQ(small.n_tokens, 33u);
    EXPECT_EQ(small.n_in, 896u);
    use.shape = {Format::q4_k, 10, 256, 1};
    small = self_test_shape(use);
    EXPECT_EQ(small.n_out, 10u);
    EXPECT_EQ(small.n_tokens, 1u);
}

TEST(SelfTest, EveryVariantOfThisDeviceIsRight) {
    const auto backend = open(options_for_tests());
    ASSERT_TRUE(backend);
    // A few formats are enough: the tests of kernels show that every variant is right; this tests the self-test.
    for (const Format format : {Format::q4_0, Format::q6_k, Format::f16}) {
        for (const uint32_t n_tokens : {1u, 24u, 64u}) {
            const MatmulShape shape{format, 512, 2048, n_tokens};
            for (const MatmulVariant& variant : matmul_candidates(backend->caps(), shape)) {
                backend->choices().only = variant;
                const auto error = matmul_error(*backend, self_test_shape({variant, shape}), variant.x);
                ASSERT_TRUE(error) << error.error().message;
                EXPECT_LE(*error, 1.0) << variant.name() << " " << info(format).name << " x " << n_tokens;
            }
        }
    }
}

TEST(SelfTest, EveryAttentionVariantOfThisDeviceIsRight) {
    const auto backend = open(options_for_tests());
    ASSERT_TRUE(backend);
    for (const Format format : {Format::f16, Format::q4_0}) {
        for (const uint32_t n_tokens : {1u, 40u}) {
            const AttentionShape shape{.head_dim = 64,
                                       .value_dim = 64,
                                       .heads_per_kv = 4,
                                       .n_head_kv = 2,
                                       .n_tokens = n_tokens,
                                       .max_kv_tokens = 2048,
                                       .page_tokens = 32,
                                       .formats = format};
            for (const AttentionVariant& variant : attention_candidates(backend->caps(), shape)) {
                backend->choices().only_attention = &variant;
                const auto error = attention_error(*backend, self_test_shape({variant, shape}));
                ASSERT_TRUE(error) << error.error().message;
                EXPECT_LE(*error, 1.0) << variant.name() << " x " << n_tokens;
                EXPECT_GT(*error, 1e-4) << variant.name() << ": the limit says nothing";
            }
        }
    }
    backend->choices().only_attention = nullptr;
}

// A variant for another cache stands for a broken one: it reads values as if they were bf16.
TEST(SelfTest, FindsWrongAttention) {
    const auto backend = open(options_for_tests());
    ASSERT_TRUE(backend);
    AttentionShape shape{.head_dim = 64,
                         .value_dim = 64,
                         .heads_per_kv = 4,
                         .n_head_kv = 2,
                         .n_tokens = 1,
                         .max_kv_tokens = 300,
                         .page_tokens = 32,
                         .formats = Format::f16};
    shape.formats = KvFormats(Format::f16, Format::bf16);
    const AttentionVariant wrong = attention_candidates(backend->caps(), shape).front();
    backend->choices().only_attention = &wrong;
    shape.formats = Format::f16;
    const auto error = attention_error(*backend, shape);
    backend->choices().only_attention = nullptr;
    ASSERT_TRUE(error) << error.error().message;
    EXPECT_GT(*error, 1.0);
}

TEST(SelfTest, FindsOneWrongBlock) {
    const auto backend = open(options_for_tests());
    ASSERT_TRUE(backend);
    const auto damage_last_block = [](std::span<std::byte> weights) {
        for (std::byte& byte : weights.last(12)) byte ^= std::byte{0x5a};  // quants: scales stay as they are
    };
    for (const Format format : {Format::q4_0, Format::q8_0, Format::q4_k}) {
        const MatmulShape shape{format, 130, 1024, 1};
        const auto right = matmul_error(*backend, shape, XKind::f32),
                   wrong = matmul_error(*backend, shape, XKind::f32, damage_last_block);
        ASSERT_TRUE(right && wrong);
        EXPECT_LE(*right, 1.0);
        EXPECT_GT(*wrong, 1.0) << info(format).name;
    }
}

TEST(SelfTest, AWrongVariantIsReplacedAndRemembered) {
    const TempDir folder;
    const MatmulShape shape{Format::q4_0, 200, 1024, 1};
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.choices_folder = folder.path();
    std::string first;
    int tested = 0;
    options.sabotage = [&](const MatmulUse& use, std::span<std::byte> weights) {
        ++tested;
        if (use.variant.name() != first) return;
        for (size_t i = 0; i < weights.size(); i += 18) weights[i + 5] ^= std::byte{0xff};
    };
    {
        const auto backend = open(options);
        ASSERT_TRUE(backend);
        const auto candidates = matmul_candidates(backend->caps(), shape);
        ASSERT_GE(candidates.size(), 2u) << "nothing to fall back to";
        first = choose_matmul(backend->caps(), backend->choices(), shape).name();
        const auto used = use_product(*backend, shape);
        ASSERT_TRUE(used) << used.error().message;
        EXPECT_EQ(tested, 2);  // the wrong one, and the one in its place
        EXPECT_EQ(backend->choices().rejected.size(), 1u);
        EXPECT_NE(choose_matmul(backend->caps(), backend->choices(), shape).name(), first);
        ASSERT_TRUE(use_product(*backend, shape));
        EXPECT_EQ(tested, 2);  // each once
    }
    const auto again = open(options);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->choices().rejected.size(), 1u);
    ASSERT_TRUE(use_product(*again, shape));
    EXPECT_EQ(tested, 2);  // known from the file
}

// Regression: without the error, answers were wrong and the exit code 0.
TEST(SelfTest, WithNothingRightTheProductIsRefused) {
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.sabotage = [](const MatmulUse&, std::span<std::byte> weights) {
        for (size_t i = 0; i < weights.size(); i += 34) weights[i + 9] ^= std::byte{0xff};
    };
    const auto backend = open(options);
    ASSERT_TRUE(backend);
    const MatmulShape shape{Format::q8_0, 200, 1024, 1};
    for (int i = 0; i < 2; ++i) {  // the second time, nothing is left to test
        const auto used = use_product(*backend, shape);
        ASSERT_FALSE(used);
        EXPECT_EQ(used.error().code, ErrorCode::unsupported);
        EXPECT_NE(used.error().message.find("computes wrong numbers"), std::string::npos) << used.error().message;
    }
}

/// The child of a death test: ends in the self-test of the shape's first variant, as a kernel does that hangs until the
/// process is killed, or by a signal of the user.
void end_in_self_test(VkBackendOptions options, const MatmulShape& shape, bool by_user) {
    options.sabotage = [by_user](const MatmulUse&, std::span<std::byte>) {
        if (by_user) take_back_crash_notes();  // as our signal handlers do
        std::_Exit(9);
    };
    auto backend = make_vk_backend(options);
    if (backend) (void)use_product(**backend, shape);
}

/// A folder that a death test and its child share.
class SharedFolder {
  public:
    SharedFolder() {
        testing::GTEST_FLAG(death_test_style) = "threadsafe";
        const char* const given = std::getenv("ATLAS_TEST_FOLDER");  // of the parent
        if (!given) own_.emplace();
        path_ = given ? std::filesystem::path(given) : own_->path();
        setenv("ATLAS_TEST_FOLDER", path_.c_str(), 1);
    }
    ~SharedFolder() { unsetenv("ATLAS_TEST_FOLDER"); }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::optional<TempDir> own_;
    std::filesystem::path path_;
};

TEST(SelfTest, AVariantWhoseTestEndedTwoProcessesIsAvoided) {
    const SharedFolder folder;
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.choices_folder = folder.path();
    const MatmulShape shape{Format::q4_0, 200, 1024, 1};
    EXPECT_EXIT(end_in_self_test(options, shape, false), testing::ExitedWithCode(9), "");
    EXPECT_EXIT(end_in_self_test(options, shape, false), testing::ExitedWithCode(9), "");

    std::string first;
    std::vector<std::string> tested;
    options.sabotage = [&](const MatmulUse& use, std::span<std::byte>) { tested.push_back(use.variant.name()); };
    for (int start = 0; start < 2; ++start) {  // the second one knows from the file of choices
        const auto backend = open(options);
        ASSERT_TRUE(backend);
        const auto candidates = matmul_candidates(backend->caps(), shape);
        ASSERT_GE(candidates.size(), 2u) << "nothing to fall back to";
        first = choose_matmul(backend->caps(), KernelChoices{}, shape).name();
        const auto used = use_product(*backend, shape);
        ASSERT_TRUE(used) << used.error().message;
        EXPECT_EQ(tested.size(), 1u) << "the one in its place, once";
        EXPECT_NE(tested.front(), first);
        EXPECT_EQ(backend->choices().rejected.size(), 1u);
    }
}

// A user who kills an impatient first start loses no kernel: one death proves nothing, and one by a signal that we see
// does not count.
TEST(SelfTest, AVariantWhoseTestEndedOneProcessIsTestedOnceMore) {
    const SharedFolder folder;
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.choices_folder = folder.path();
    const MatmulShape shape{Format::q4_0, 200, 1024, 1};
    for (int i = 0; i < 2; ++i) EXPECT_EXIT(end_in_self_test(options, shape, true), testing::ExitedWithCode(9), "");
    EXPECT_EXIT(end_in_self_test(options, shape, false), testing::ExitedWithCode(9), "");

    std::vector<std::string> tested;
    options.sabotage = [&](const MatmulUse& use, std::span<std::byte>) { tested.push_back(use.variant.name()); };
    for (int start = 0; start < 2; ++start) {
        const auto backend = open(options);
        ASSERT_TRUE(backend);
        ASSERT_TRUE(use_product(*backend, shape));
        EXPECT_EQ(tested, std::vector{choose_matmul(backend->caps(), KernelChoices{}, shape).name()});
        EXPECT_TRUE(backend->choices().rejected.empty());
    }
    // It passed: a later death is again the first.
    const auto stored =
        read_choices(choices_file(folder.path(), open(options)->caps()), choices_owner(open(options)->caps()));
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_TRUE(stored->ended_once.empty());
}

// Ctrl-C between two tests: what was tested is kept, and nothing is blamed.
TEST(SelfTest, AStopEndsItBetweenTwoKernels) {
    const TempDir folder;
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.choices_folder = folder.path();
    int tested = 0;
    options.sabotage = [&](const MatmulUse&, std::span<std::byte>) { ++tested; };
    options.stop_requested = [&] { return tested >= 1; };
    std::vector<std::pair<size_t, size_t>> progress;
    options.kernel_progress = [&](size_t done, size_t total) { progress.emplace_back(done, total); };
    const MatmulShape first{Format::q4_0, 200, 1024, 1}, second{Format::q8_0, 200, 1024, 1};
    {
        const auto backend = open(options);
        ASSERT_TRUE(backend);
        const auto used = use_product(*backend, first);
        ASSERT_FALSE(used);
        EXPECT_EQ(used.error().code, ErrorCode::cancelled);
        EXPECT_TRUE(backend->choices().rejected.empty());
        ASSERT_GE(progress.size(), 2u);
        EXPECT_EQ(progress.front(), std::pair(size_t{0}, size_t{1}));
        EXPECT_EQ(progress.back(), std::pair(size_t{0}, size_t{0}));
    }
    options.stop_requested = nullptr;
    const auto backend = open(options);
    ASSERT_TRUE(backend);
    ASSERT_TRUE(use_product(*backend, first));
    ASSERT_TRUE(use_product(*backend, second));
    EXPECT_TRUE(backend->choices().rejected.empty());
}

TEST(SelfTest, AVariantWhoseTestDidNotEndHasAnotherChanceWhereAllOthersAreWrong) {
    const TempDir folder;
    VkBackendOptions options = options_for_tests();
    options.self_test = true;
    options.choices_folder = folder.path();
    const MatmulShape shape{Format::q4_0, 200, 1024, 1};
    std::string first;
    {
        const auto backend = open(options);
        ASSERT_TRUE(backend);
        const MatmulUse use{choose_matmul(backend->caps(), KernelChoices{}, shape), shape};
        first = use.variant.name();
        StoredChoices stored;
        stored.unfinished = {rejection_key(use)};
        ASSERT_TRUE(
            write_choices(choices_file(folder.path(), backend->caps()), choices_owner(backend->caps()), stored));
    }
    options.sabotage = [&](const MatmulUse& use, std::span<std::byte> weights) {
        if (use.variant.name() == first) return;
        for (size_t i = 0; i < weights.size(); i += 18) weights[i + 5] ^= std::byte{0xff};
    };
    const auto backend = open(options);
    ASSERT_TRUE(backend);
    const auto used = use_product(*backend, shape);
    ASSERT_TRUE(used) << used.error().message;
    EXPECT_EQ(choose_matmul(backend->caps(), backend->choices(), shape).name(), first);
}

// Another program that is testing at the same time does not count as one that died.
TEST(SelfTest, ATestThatIsGoingOnIsNotOneThatDidNotEnd) {
    const TempDir folder;
    const auto file = folder.path() / "card.json";
    std::optional<CrashNote> note;
    auto left = CrashNote::leave(file, "1.2\nabc\na kernel");
    ASSERT_TRUE(left) << left.error().message;
    note.emplace(std::move(*left));
    EXPECT_TRUE(take_crash_notes(file).empty());
    note.reset();
    EXPECT_TRUE(take_crash_notes(file).empty());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace atlas
