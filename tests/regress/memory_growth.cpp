// Not a test: loads a model from a file on the first device, runs some tokens, and prints the plan and by how much
// this process grew at its peak. On a software device that is the same memory.
//
// Usage: memory_growth FOLDER N_EMBD N_LAYER N_VOCAB QUANT N_CTX KV
#include <malloc.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "bench/shape_model.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/session/single/session.h"

namespace atlas {
namespace {

/// "VmHWM" of /proc/self/status, in bytes.
uint64_t status_bytes(std::string_view field) {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with(field)) continue;
        return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
    }
    return 0;
}

/// Restarts VmHWM from here.
void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

template <class T>
T must(Result<T> result) {
    ATLAS_CHECK(result.has_value(), "{}", result.error().message);
    return std::move(*result);
}

struct Wish {
    bench::ShapeWish shape;
    SessionShape session;
};

MemoryPlan load_and_run(const Wish& wish, const std::filesystem::path& path, VkBackend& backend) {
    const auto file = must(gguf::File::open(path));
    const auto model = must(Model::load(file, backend, wish.session));
    const auto session = must(Session::create(model, wish.session));
    const std::vector<TokenId> prompt(12, 5);
    must(session->sync(prompt));
    for (TokenId token = 0; token < 3; ++token) ATLAS_CHECK(session->step(token).has_value());
    MemoryPlan plan = session->plan();
    plan.weights_bytes = must(plan_file(file, wish.session)).weights_bytes;
    plan.other_bytes = backend.overhead_bytes();
    return plan;
}

int run(const std::filesystem::path& folder, Wish wish) {
    VkBackendOptions options;
    options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_truth.pipelines";
    const auto backend = must(make_vk_backend(options));

    const uint64_t before = status_bytes("VmRSS");
    forget_peak();
    ATLAS_CHECK(bench::write_shape(wish.shape, folder / "model.gguf").has_value());
    const MemoryPlan plan = load_and_run(wish, folder / "model.gguf", *backend);
    fmt::print("planned {} of which overhead {} grown {}\n", plan.total_bytes(), plan.other_bytes,
               status_bytes("VmHWM") - before);
    return 0;
}

}  // namespace
}  // namespace atlas

int main(int argc, char** argv) {
    using namespace atlas;
    // The C library gives threads arenas of their own, as many as happen to allocate at once: of 14 runs they made the
    // peak 0.1 to 1.7 % larger than planned, with one arena it is 0.6 to 1.0 % smaller (lavapipe of Mesa 25.0.7, 2
    // cores, 2026-11-30).
    ::mallopt(M_ARENA_MAX, 1);
    ATLAS_CHECK(argc == 8, "usage: memory_growth FOLDER N_EMBD N_LAYER N_VOCAB QUANT N_CTX KV");
    const auto number = [&](int i) { return static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10)); };
    Wish wish;
    wish.shape = must(bench::find_shape("test-tiny:" + std::string(argv[5])));
    KeyMap keys = wish.shape.shape.keys;
    const uint32_t n_embd = number(2), n_head = n_embd / 64;
    keys.set("embedding_length", n_embd)
        .set("block_count", number(3))
        .set("vocab_size", number(4))
        .set("feed_forward_length", n_embd * 3);
    keys.set("attention.head_count", n_head).set("attention.head_count_kv", std::max(1u, n_head / 4));
    wish.shape.shape = must(shape_of_keys(std::move(keys), "memory_growth"));
    wish.session.n_ctx = number(6);
    wish.session.kv_format = must(parse_kv_formats(argv[7]));
    return run(argv[1], std::move(wish));
}
