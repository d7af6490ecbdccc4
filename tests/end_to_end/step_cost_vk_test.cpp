// Steady decoding on the Vulkan backend allocates nothing: no driver object is created and operator new is not
// called.
#include <gtest/gtest.h>

#include "runtime/kernels/vk_backend.h"
#include "tests/end_to_end/thread_allocations.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

// Without validation layers, because they allocate.
struct Plain {
    Plain() {
        testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama"));
        auto made = make_vk_backend({});
        ATLAS_CHECK(made.has_value(), "{}", made.error().message);
        backend = std::move(*made);
        running =
            testing::start_model(dir / "tiny.gguf", *backend, {.n_ctx = 256, .n_batch = 16, .kv_format = Format::f32});
        ATLAS_CHECK(running.session->sync(testing::tiny_tokens(20, 97, 1)).has_value(), "sync");
    }
    TempDir dir;
    std::unique_ptr<VkBackend> backend;
    testing::Running running;
};

TEST(StepCostVk, TheCounterCounts) {
    const uint64_t before = testing::thread_allocations();
    const auto block = std::make_unique<int>(1);
    EXPECT_EQ(testing::thread_allocations(), before + 1) << *block;
}

TEST(StepCostVk, AChosenStepAllocatesNothing) {
    Plain f;
    const Sampler sampler = Sampler::create({}).value();
    ASSERT_TRUE(f.running.session->start_choosing(sampler).has_value());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(f.running.session->next_choice(true).has_value());
    const uint64_t before = testing::thread_allocations();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(f.running.session->next_choice(true).has_value());
    EXPECT_EQ(testing::thread_allocations(), before);
    f.running.session->stop_choosing();
}

TEST(StepCostVk, AStepAllocatesNothing) {
    Plain f;
    for (uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(f.running.session->step(i).has_value());
    const uint64_t before = testing::thread_allocations();
    for (uint32_t i = 0; i < 50; ++i) ASSERT_TRUE(f.running.session->step(i).has_value());
    EXPECT_EQ(testing::thread_allocations(), before);
}

}  // namespace
}  // namespace atlas
