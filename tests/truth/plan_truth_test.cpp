// What the planner predicts from a shape is what the allocator hands out, byte for byte and use for use.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "bench/shape_model.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/session/single/session.h"
#include "runtime/vk/memory.h"
#include "tests/support/temp_dir.h"
#include "tests/support/truth_grid.h"

namespace atlas {
namespace {

using testing::TruthCase;
using Bytes = std::array<uint64_t, kMemoryUses>;

/// Counts what is allocated without allocating memory.
class CountingBackend final : public Backend {
  public:
    Bytes taken{};

    std::string describe() const override { return "counting"; }
    MemoryBudget budget() const override { return {uint64_t{1} << 40, uint64_t{1} << 40}; }
    uint64_t max_storage_bytes() const override { return uint64_t{1} << 40; }
    bool can_read(Format) const override { return true; }
    Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) override {
        taken[size_t(use)] += storage_bytes(bytes);
        return std::make_unique<Storage>(std::string(name), bytes);
    }
    Result<void> upload(Storage&, uint64_t, std::span<const std::byte>) override { return {}; }
    Result<void> finish_uploads() override { return {}; }
    Result<void> reserve_scratch(uint64_t bytes) override {
        taken[size_t(MemoryUse::scratch)] = std::max(taken[size_t(MemoryUse::scratch)], storage_bytes(bytes));
        return {};
    }
    Result<std::unique_ptr<Program>> record(std::string_view, const std::function<void(Ops&)>&) override {
        return std::make_unique<Program>();
    }
    Result<void> run(Program&) override { return {}; }
    void write(Storage&, uint64_t, std::span<const std::byte>) override {}
    void read(const Storage&, uint64_t, std::span<std::byte>) override {}
};

/// A loaded model with a session.
struct Loaded {
    std::shared_ptr<const Model> model;
    std::unique_ptr<Session> session;
};

Loaded load(const ModelShape& shape, const TruthCase& of, Backend& backend) {
    const SessionShape session{.n_ctx = of.n_ctx, .kv_format = of.kv};
    auto model = bench::load_shape({shape, of.quant}, backend, session);
    ATLAS_CHECK(model.has_value(), "{}", model.error().message);
    auto made = Session::create(*model, session);
    ATLAS_CHECK(made.has_value(), "{}", made.error().message);
    return {*model, std::move(*made)};
}

std::vector<Loaded> load(const TruthCase& of, Backend& backend) {
    std::vector<Loaded> loaded;
    loaded.push_back(load(of.shape, of, backend));
    if (of.draft) loaded.push_back(load(testing::draft_of(of.shape), of, backend));
    return loaded;
}

Bytes planned(const TruthCase& of) {
    const ModelFit fit = ModelFit::create(of.shape, of.quant).value();
    MemoryPlan f = fit.at(of.n_ctx, of.kv);
    const ModelShape draft = testing::draft_of(of.shape);
    if (of.draft) f = together(f, ModelFit::create(draft, of.quant).value().at(of.n_ctx, of.kv));
    return {f.weights_bytes, f.kv_bytes, f.scratch_bytes, f.step_bytes, f.output_bytes};
}

TEST(PlanTruth, EveryCaseAsksForJustWhatWasPlanned) {
    const auto cases = testing::truth_grid();
    ASSERT_EQ(cases.size(), 225u);
    for (const TruthCase& of : cases) {
        CountingBackend backend;
        const auto loaded = load(of, backend);
        EXPECT_EQ(planned(of), backend.taken) << of.name();
    }
}

/// What the device itself allocated, in whole allocations.
Bytes given(const VkBackend& backend) {
    Bytes bytes{};
    for (const vk::UseStatistics& use : backend.memory_statistics()) {
        if (use.use < kMemoryUses) bytes[size_t(use.use)] = use.slab_bytes;
    }
    return bytes;
}

TEST(PlanTruth, ADeviceHandsOutJustWhatWasPlanned) {
    const auto cases = testing::truth_grid();
    for (const TruthCase& of : cases) {
        // A new backend each time, because reserved scratch stays with it.
        const auto backend = make_vk_backend({});
        ASSERT_TRUE(backend.has_value()) << backend.error().message;
        const auto loaded = load(of, **backend);
        EXPECT_EQ(planned(of), given(**backend)) << of.name();
    }
}

// BudgetWatch asks once in 32 tokens; a token takes a device 5 ms or more.
TEST(PlanTruth, ALookAtTheBudgetCostsNothing) {
    const auto backend = make_vk_backend({});
    ASSERT_TRUE(backend.has_value());
    constexpr int kLooks = 1000;
    const auto start = std::chrono::steady_clock::now();
    uint64_t there = 0;
    for (int i = 0; i < kLooks; ++i) there += (*backend)->budget().available_bytes > 0;
    const double us =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / kLooks;
    std::printf("a look at the budget: %.2f us\n", us);
    EXPECT_EQ(there, uint64_t{kLooks});
    EXPECT_LT(us, 500);
}

// The plan of a file's header is that of its shape.
TEST(PlanTruth, AFileIsPlannedAsItsShape) {
    const TempDir dir;
    for (const ModelShape& shape : testing::shapes_like_the_catalogue()) {
        for (const char* quant : {"Q4_K_M", "F16"}) {
            const std::filesystem::path path = dir / "shape.gguf";
            ASSERT_TRUE(bench::write_shape({shape, quant}, path));
            const auto file = gguf::File::open(path);
            ASSERT_TRUE(file.has_value());
            const auto plan = plan_file(*file, {.n_ctx = 4096});
            ASSERT_TRUE(plan.has_value()) << plan.error().message;
            EXPECT_EQ(
                planned({shape, quant, 4096, {}, false}),
                (Bytes{plan->weights_bytes, plan->kv_bytes, plan->scratch_bytes, plan->step_bytes, plan->output_bytes}))
                << shape.id << " " << quant;
        }
    }
}

}  // namespace
}  // namespace atlas
