// Work is cut so that no submission runs long, whatever the context: whole steps are planned for made-up devices, and
// the cost of every dispatch and of every submission is held against the limit. Nothing runs.
#include <gtest/gtest.h>

#include "runtime/base/units.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"
#include "tests/vk/made_up_devices.h"

namespace atlas {
namespace {

/// Of the shape of Qwen2.5-Coder-32B, with two of its layers: every layer costs the same.
ModelConfig large_model() {
    ModelConfig config;
    LayerConfig layer;
    layer.n_head = 40;
    layer.n_head_kv = 8;
    layer.head_dim = layer.v_head_dim = 128;
    layer.n_ff = 27648;
    layer.rope = {.head_dim = 128, .n_rot = 128};
    config.layers.assign(2, layer);
    config.n_embd = 5120;
    config.n_vocab = 152064;
    config.norm_eps = 1e-6f;
    config.attention_scale = 0.088f;
    return config;
}

/// Plans steps on storages that are sizes alone.
class Planned {
  public:
    explicit Planned(const vk::DeviceCaps& caps) {
        context_.caps = caps;
        context_.quirks = vk::quirks_for(caps);
        context_.max_binding_bytes = caps.max_storage_buffer_range;
        context_.max_groups = {65535, 65535, 65535};
        context_.scratch = &nowhere_;
        context_.constants = &nowhere_;
        context_.pool = &pool_;
    }

    DispatchPlan step(uint32_t n_tokens, uint32_t n_keys, Format kv) {
        const ModelConfig config = large_model();
        const auto tensor = [&](Format format, uint32_t rows, uint32_t cols) {
            return dense(nowhere_, format, rows, cols);
        };
        const WeightTable table = architecture_named("llama")->weights(config);
        Weights weights(config.n_layer());
        const auto make = [&](const WeightRule& rule) {
            const Dims dims = rule.dims(config, config.layers[0]);
            return tensor(dims.is_vector() ? Format::f32 : Format::q4_k, static_cast<uint32_t>(dims.rows()),
                          static_cast<uint32_t>(dims.cols()));
        };
        const auto is_there = [](const WeightRule& rule) { return rule.need == Need::required || rule.id == kOutput; };
        for (const WeightRule& rule : table.model) {
            if (is_there(rule)) weights.set(rule.id, make(rule));
        }
        for (uint32_t il = 0; il < config.n_layer(); ++il) {
            for (const WeightRule& rule : table.layers[il]) {
                if (is_there(rule)) weights.set(il, rule.id, make(rule));
            }
        }
        constexpr uint32_t kPage = 32;
        const Tensor cache = tensor(kv, n_keys, config.layers[0].k_width());
        const std::vector<KvLayer> layers(config.n_layer(), KvLayer{cache, cache, kPage});
        const auto view = [&](uint32_t count) { return U32View{&nowhere_, 0, count}; };
        StepViews views{view(n_tokens), view(n_tokens), view(n_tokens), view(n_tokens), view(n_keys / kPage), view(1)};
        views.max_pages = n_keys / kPage;
        views.max_kv_tokens = n_keys;
        DispatchPlan plan;
        VkOps ops(context_, plan);
        forward_dense_decoder({config, weights, layers, views, tensor(Format::f32, 1, config.n_vocab)}, ops);
        EXPECT_FALSE(plan.error) << plan.error->message;
        return plan;
    }
    const vk::Quirks& quirks() const { return context_.quirks; }

  private:
    VkStorage nowhere_{nullptr, "nowhere", {.bytes = 64 * kGiB}};
    ConstantPool pool_;
    VkOpsContext context_;
};

struct Longest {
    double dispatch_ms = 0;
    double submission_ms = 0;
    size_t submissions = 0;
};

Longest longest_of(const DispatchPlan& plan, const vk::Quirks& quirks) {
    Longest longest;
    vk::SubmissionCutter cutter(quirks);
    for (const PlannedDispatch& dispatch : plan.dispatches) {
        longest.submissions += cutter.next(dispatch.cost) || longest.submissions == 0;
        longest.dispatch_ms = std::max(longest.dispatch_ms, vk::estimate_ms(dispatch.cost, quirks));
        longest.submission_ms = std::max(longest.submission_ms, cutter.open_ms());
    }
    return longest;
}

class Watchdog : public ::testing::TestWithParam<vk::DeviceType> {};

TEST_P(Watchdog, NoSubmissionIsLongUpTo128kTokens) {
    constexpr double kPromisedMs = 250;
    vk::DeviceCaps caps = vk::made_up_device("x", GetParam(), 24 * kGiB);
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.subgroup_ballot = true;
    if (GetParam() == vk::DeviceType::software)
        caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 8;
    Planned planned(caps);
    const vk::Quirks& quirks = planned.quirks();
    ASSERT_LE(quirks.submission_limit_ms, kPromisedMs);
    for (const uint32_t n_tokens : {1u, 8u, 24u, 64u, 512u}) {
        for (const uint32_t n_keys : {512u, 16384u, 131072u}) {
            if (n_keys < n_tokens) continue;
            const DispatchPlan plan = planned.step(n_tokens, n_keys, Format::f16);
            const Longest longest = longest_of(plan, quirks);
            // Matrix products are rounded up to whole tiles, which makes a part of them a little longer than its share.
            EXPECT_LE(longest.dispatch_ms, 1.25 * quirks.submission_limit_ms)
                << n_tokens << " tokens, " << n_keys << " keys";
            EXPECT_LE(longest.submission_ms, 1.25 * quirks.submission_limit_ms)
                << n_tokens << " tokens, " << n_keys << " keys";
            EXPECT_LE(longest.submission_ms, kPromisedMs);
            if (n_tokens == 1) RecordProperty(fmt::format("submissions_at_{}_keys", n_keys), int(longest.submissions));
        }
    }
}

// By the rates of a GTX 1050 a prompt was cut into more than three times as many submissions: a 7B's of 512 tokens took
// 190.
TEST(WatchdogOfACard, APromptTakesTheSubmissionsThatItsSizeDemands) {
    vk::DeviceCaps caps = vk::made_up_device("RTX 3090", vk::DeviceType::discrete, 24 * kGiB);
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.subgroup_ballot = true;
    Planned of_its_class(caps);
    caps.compute_units = 82;
    Planned of_its_size(caps);
    const auto submissions = [](Planned& planned) {
        return longest_of(planned.step(512, 512, Format::f16), planned.quirks()).submissions;
    };
    // Of two layers of a 32B: 512 tokens are half a TFLOP a layer.
    EXPECT_GE(submissions(of_its_class), 3 * submissions(of_its_size));
    EXPECT_LE(submissions(of_its_size), 5u);
    EXPECT_LE(longest_of(of_its_size.step(512, 131072, Format::f16), of_its_size.quirks()).submission_ms, 125);
}

// Cards that do not say how large they are, by the rates of the slowest of their class (quirks.cpp).
INSTANTIATE_TEST_SUITE_P(Devices, Watchdog,
                         ::testing::Values(vk::DeviceType::discrete, vk::DeviceType::integrated,
                                           vk::DeviceType::software, vk::DeviceType::other),
                         [](const auto& device) { return std::string(vk::name_of(device.param)); });

}  // namespace
}  // namespace atlas
