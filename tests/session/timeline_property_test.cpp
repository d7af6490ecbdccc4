// After any interleaving of fork, step, verify, rewind, snapshot, restore, evict and cancel every live timeline
// continues as a fresh prefill of its tokens would, and no page is lost.
#include "runtime/model/common_weights.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/fitted_model.h"
#include "tests/support/interleaving.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_recurrent.h"
#include "tests/support/toy_windows.h"

namespace atlas {
namespace {

// A model in a pool that is too small, and the logits of a fresh session for its texts.
struct World {
    World(const std::filesystem::path& model, Backend& backend, const KvFormats& formats,
          const Architecture* architecture = nullptr)
        : batch(testing::start_batch(model, backend, shape_of(formats), architecture)),
          fresh(model, backend, 4 * kPageTokens, formats, architecture),
          interleaving(*batch.runner, fresh, 0) {}  // the reference sums each row on its own: equal means equal bits
    static SessionShape shape_of(const KvFormats& formats) {
        SessionShape shape = testing::interleaving_shape();
        shape.kv_format = formats;
        shape.checkpoint_every = 2 * kPageTokens;
        return shape;
    }
    testing::RunningBatch batch;
    testing::FreshPrefill fresh;
    testing::Interleaving interleaving;
};

// Mostly on the smallest model with a cache that rounds nothing; one in sixteen on a fitted model
// (model/cache_rotation.h), whose keys are rotated and then rounded.
TEST(TimelineProperty, TenThousandInterleavings) {
    TempDir dir;
    const auto backend = make_ref_backend();
    testing::TinyShape shape = testing::smallest_shape();
    testing::write_tiny_model(dir / "tiny.gguf", shape);
    shape.head_dim = 32;  // a block
    testing::write_fitted_model(dir / "fitted.gguf", shape, *backend, 3);
    KvFormats fours{Format::q4_0, Format::q8_0}, eights{Format::q8_0, Format::q4_0};
    fours.rotate_k = eights.rotate_k = eights.rotate_v = true;
    World plain(dir / "tiny.gguf", *backend, Format::f32), rotated_fours(dir / "fitted.gguf", *backend, fours),
        rotated_eights(dir / "fitted.gguf", *backend, eights);
    ASSERT_TRUE(rotated_fours.batch.model->weights().at(0, kRotateK)) << "the model was not fitted";
    for (uint32_t seed = 0; seed < 10000; ++seed) {
        World& world = seed % 32 == 5 ? rotated_fours : seed % 32 == 21 ? rotated_eights : plain;
        world.interleaving.run(seed, 6 + seed / 32 % 24);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
    }
    const auto expect_variety = [](const World& world, uint64_t share) {
        EXPECT_GT(world.interleaving.n_probes(), 10000 / share);
        EXPECT_GT(world.interleaving.n_refused(), 1000 / share) << "the pool never ran full";
        EXPECT_GT(world.interleaving.n_reused(), 10000 / share) << "no prefix was found";
        EXPECT_GT(world.interleaving.n_restored(), 1000 / share);
        EXPECT_GT(world.batch.runner->pool().n_copied_pages(), 1000 / share);
    };
    expect_variety(plain, 1);
    expect_variety(rotated_fours, 32);
    expect_variety(rotated_eights, 32);
}

// The same for layers with a state: it cannot be rewound to everywhere, but wherever a timeline continues from, its
// state is the one that belongs there.
TEST(TimelineProperty, OfLayersWithAState) {
    TempDir dir;
    const auto backend = make_ref_backend();
    testing::write_tiny_model(dir / "tiny.gguf", testing::smallest_shape());
    World world(dir / "tiny.gguf", *backend, Format::f32, &testing::kToyRecurrent);
    world.interleaving.takes_snapshots = false;
    StateSlots& states = world.batch.runner->pool().states();
    ASSERT_TRUE(states.exist());
    for (uint32_t seed = 0; seed < 10000; ++seed) {
        world.interleaving.run(seed, 6 + seed / 32 % 24);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
        world.batch.runner->pool().forget_kept();
        ASSERT_EQ(states.n_free(), states.n_slots() - 1) << "a slot was lost, sequence " << seed;
    }
    EXPECT_GT(world.interleaving.n_probes(), 10000u);
    EXPECT_GT(world.interleaving.n_reused(), 100u) << "no page whose state is kept was found";
}

// The same while the pool shrinks from twelve pages to six: the only effect is that less fits.
TEST(TimelineProperty, AndWhilePagesAreGivenBack) {
    TempDir dir;
    testing::write_tiny_model(dir / "tiny.gguf", testing::smallest_shape());
    const auto backend = make_ref_backend();
    testing::FreshPrefill fresh(dir / "tiny.gguf", *backend, 4 * kPageTokens, Format::f32);
    SessionShape shape = testing::interleaving_shape();
    shape.pool_tokens = 12 * kPageTokens;
    auto file = gguf::File::open(dir / "tiny.gguf");
    const auto model = Model::load(*file, *backend,
                                   {.n_ctx = shape.pool_tokens, .n_batch = shape.n_batch, .kv_format = shape.kv_format})
                           .value();
    uint64_t n_probes = 0, n_given_back = 0, n_reused = 0, n_copied = 0;
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const auto runner = StepRunner::create(model, shape).value();
        testing::Interleaving interleaving(*runner, fresh, 0);
        interleaving.gives_back = true;
        interleaving.run(20000 + seed, 60);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
        n_probes += interleaving.n_probes();
        n_given_back += interleaving.n_given_back();
        n_reused += interleaving.n_reused();
        n_copied += runner->pool().n_copied_pages();
    }
    EXPECT_GT(n_probes, 2000u);
    EXPECT_GT(n_given_back, 1000u);
    EXPECT_GT(n_reused, 1000u) << "the index was lost";
    EXPECT_GT(n_copied, 300u) << "no page had to move";
}

// Texts that are several times as long as what layers with a window keep of them.
TEST(TimelineProperty, InterleavingsWithWindows) {
    TempDir dir;
    const auto backend = make_ref_backend();
    testing::TinyShape tiny = testing::smallest_shape();
    tiny.n_layer = 2;
    testing::write_tiny_model(dir / "tiny.gguf", tiny);
    constexpr size_t kLongest = 320;
    SessionShape shape = testing::interleaving_shape();
    shape.pool_tokens = 30 * kPageTokens;
    shape.n_ctx = 11 * kPageTokens;
    shape.checkpoint_every = kPageTokens;
    auto batch = testing::start_batch(dir / "tiny.gguf", *backend, shape, &testing::kToyWindows);
    ASSERT_LT(batch.runner->pool().windows().n_slots(), 27u);
    testing::FreshPrefill fresh(dir / "tiny.gguf", *backend, shape.n_ctx, Format::f32, &testing::kToyWindows);
    testing::Interleaving interleaving(*batch.runner, fresh, 0, kLongest);
    for (uint32_t seed = 0; seed < 1500; ++seed) {
        interleaving.run(seed, 6 + seed / 32 % 24);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
    }
    EXPECT_GT(interleaving.n_probes(), 1000u);
    EXPECT_GT(interleaving.n_reused(), 1000u);
    EXPECT_GT(interleaving.n_restored(), 100u);
}

}  // namespace
}  // namespace atlas
