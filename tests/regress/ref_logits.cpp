// ref_logits MODEL TOKENS|@FILE OUT.f32 [f32|f16] [n_batch]: the logits of every token by the slow reference backend,
// for comparisons on machines without Vulkan and to tell a wrong model from a wrong kernel. TOKENS: "1,2,3", or a
// file that holds such a list.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "runtime/session/measure/logits_file.h"
#include "tests/reference/ref_backend.h"

namespace {

using namespace atlas;

Result<void> run(int argc, char** argv) {
    if (argc < 4)
        return fail(ErrorCode::invalid_argument, "usage: ref_logits MODEL TOKENS|@FILE OUT.f32 [f32|f16] [n_batch]");
    std::string list = argv[2];
    if (list.starts_with('@')) {
        std::ifstream in(list.substr(1));
        if (!in) return fail(ErrorCode::not_found, "{}: cannot be read", list.substr(1));
        list.assign(std::istreambuf_iterator<char>(in), {});
        while (!list.empty() && list.back() == '\n') list.pop_back();
    }
    ATLAS_TRY(const auto tokens, parse_token_list(list));
    ATLAS_TRY(const auto file, gguf::File::open(argv[1]));
    SessionShape shape;
    shape.n_ctx = static_cast<uint32_t>(tokens.size());
    shape.kv_format = argc > 4 && std::string_view(argv[4]) == "f16" ? Format::f16 : Format::f32;
    shape.n_batch = argc > 5 ? static_cast<uint32_t>(std::atoi(argv[5])) : 64;
    shape.max_outputs = shape.n_batch;
    const auto backend = make_ref_backend();
    ATLAS_TRY(const auto model, Model::load(file, *backend, shape));
    ATLAS_TRY(const auto session, Session::create(model, shape));
    return write_logits_file(*session, tokens, argv[3]);
}

}  // namespace

int main(int argc, char** argv) {
    const auto done = run(argc, argv);
    if (!done) fmt::print(stderr, "ref_logits: {}\n", done.error().message);
    return done ? 0 : 1;
}
