// draft_block_cost MODEL DRAFT [N_TOKENS WIDTH,WIDTH,... DEVICE]: measures what a block of draft tokens of a draft
// model and its verify step cost, in one submission and in several, and what a submission with the wait for it costs
// by itself. Compares the answers of both ways.
// On a device that executes nothing (RADV's null hardware) all draft tokens are accepted and all of the time is the
// host's.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "runtime/gguf/reader.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/speculation.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}
double cpu_ms() { return double(std::clock()) * 1000 / CLOCKS_PER_SEC; }

constexpr uint32_t kPrompt = 24;

struct Way {
    double ms = 0, cpu = 0;  // per block
    double submissions = 0, waits = 0, tokens = 0;
    SpeculationFigures figures;
    std::vector<TokenId> answer;
};

class Measurement {
  public:
    static Result<std::unique_ptr<Measurement>> create(const char* model, const char* draft, const char* device,
                                                       uint32_t n_tokens) {
        auto made = std::make_unique<Measurement>();
        made->n_tokens_ = n_tokens;
        VkBackendOptions options;
        options.device = device;
        ATLAS_TRY(auto backend, make_vk_backend(options));
        made->backend_ = std::make_unique<testing::WatchedBackend>(std::move(backend));
        const uint32_t n_ctx = kPrompt + n_tokens + kBatchInvariantWidth;
        const SessionShape shape{.n_ctx = n_ctx, .n_batch = 32, .max_outputs = kBatchInvariantWidth};
        ATLAS_TRY(made->session_, made->open(model, shape));
        const SessionShape small{.n_ctx = n_ctx, .n_batch = 32};
        ATLAS_TRY(const auto draft_model, made->load(draft, small));
        ATLAS_TRY(auto runner, StepRunner::create(draft_model, small, Serves::one));
        auto drafter = std::make_unique<DraftModel>(std::move(runner), made->session_->model().config().n_vocab);
        made->draft_ = drafter.get();
        std::vector<std::unique_ptr<Speculator>> who;
        who.push_back(std::move(drafter));
        made->speculators_ = std::make_unique<Speculators>(std::move(who), kBatchInvariantWidth - 1);
        return made;
    }

    /// Microseconds of n programs of one dispatch each: submitted and waited for one by one, or together and once.
    Result<double> floor_us(size_t n, bool together) {
        std::vector<std::unique_ptr<Program>> programs;
        std::vector<Program*> all;
        for (size_t i = 0; i < n; ++i) {
            ATLAS_TRY(auto program, backend_->record("nothing", [](Ops& ops) {
                const ScratchScope scope(ops);
                const Tensor x = ops.scratch(1, 64, "x");
                ops.add(x, x, x);
            }));
            all.push_back(program.get());
            programs.push_back(std::move(program));
        }
        std::vector<double> us;
        for (int round = 0; round < 200; ++round) {
            const auto start = Clock::now();
            if (together) {
                ATLAS_TRY(const uint64_t ticket, backend_->submit_all(all));
                ATLAS_TRY_VOID(backend_->wait(ticket));
            } else {
                for (Program* program : all) ATLAS_TRY_VOID(backend_->run(*program));
            }
            us.push_back(1000 * ms_since(start));
        }
        std::nth_element(us.begin(), us.begin() + 100, us.end());
        return us[100];
    }

    Result<Way> run(uint32_t width, DraftModel::Submission submission) {
        draft_->submit_as(submission);
        speculators_->length().fix_width(width);
        Way way;
        for (int round = 0; round < 2; ++round) {  // the first one records
            session_->rewind(0);
            std::vector<TokenId> prompt(kPrompt);
            for (uint32_t i = 0; i < kPrompt; ++i) prompt[i] = 40 + 3 * i;
            ATLAS_TRY_VOID(session_->sync(prompt));
            ATLAS_TRY(Sampler sampler, Sampler::create({.temperature = 0}));
            SpeculativeDecoder decoder(*session_, sampler, *speculators_, true);
            ATLAS_TRY_VOID(decoder.start());
            way.answer.clear();
            for (uint32_t i = 0; i < 4; ++i) ATLAS_TRY_VOID(take(decoder, way.answer));
            const auto before = decoder.figures();
            backend_->counts = {};
            const double cpu = cpu_ms();
            const auto start = Clock::now();
            while (way.answer.size() < n_tokens_) ATLAS_TRY_VOID(take(decoder, way.answer));
            way.ms = ms_since(start);
            way.cpu = cpu_ms() - cpu;
            way.figures = decoder.figures();
            const double blocks = double(way.figures.n_blocks - before.n_blocks);
            for (double* each : {&way.ms, &way.cpu}) *each /= blocks;
            way.submissions = backend_->counts.runs / blocks;
            way.waits = (backend_->counts.runs - backend_->counts.submits + backend_->counts.waits) / blocks;
            way.tokens = double(n_tokens_ - 4) / blocks;
        }
        return way;
    }

  private:
    Result<void> take(SpeculativeDecoder& decoder, std::vector<TokenId>& answer) const {
        ATLAS_TRY(const TokenId token, decoder.next(n_tokens_ - 1 - static_cast<uint32_t>(answer.size())));
        answer.push_back(token);
        return {};
    }
    Result<std::unique_ptr<Session>> open(const char* path, const SessionShape& shape) {
        ATLAS_TRY(const auto model, load(path, shape));
        return Session::create(model, shape);
    }
    Result<std::shared_ptr<const Model>> load(const char* path, const SessionShape& shape) {
        ATLAS_TRY(const gguf::File file, gguf::File::open(path));
        return Model::load(file, *backend_, shape);
    }

    uint32_t n_tokens_ = 0;
    std::unique_ptr<testing::WatchedBackend> backend_;
    std::unique_ptr<Session> session_;
    std::unique_ptr<Speculators> speculators_;
    DraftModel* draft_ = nullptr;
};

Result<bool> measure(const char* model, const char* draft, uint32_t n_tokens, std::string widths, const char* device) {
    ATLAS_TRY(const auto measurement, Measurement::create(model, draft, device, n_tokens));
    for (const size_t n : {1u, 5u, 9u}) {
        ATLAS_TRY(const double apart, measurement->floor_us(n, false));
        ATLAS_TRY(const double together, measurement->floor_us(n, true));
        fmt::print("{} programs of one dispatch: {:.1f} us with a submission and a wait each, {:.1f} us with one\n", n,
                   apart, together);
    }
    fmt::print(
        "| width | submissions | tokens per block | submissions per block | waits | ms per block | processor ms "
        "|\n|---|---|---|---|---|---|---|\n");
    bool same = true;
    for (size_t at = 0; at < widths.size();) {
        const size_t comma = std::min(widths.find(',', at), widths.size());
        const auto width = static_cast<uint32_t>(std::atoi(widths.substr(at, comma - at).c_str()));
        at = comma + 1;
        std::vector<TokenId> answer;
        for (const auto submission : {DraftModel::Submission::apart, DraftModel::Submission::one,
                                      DraftModel::Submission::apart, DraftModel::Submission::one}) {
            ATLAS_TRY(const Way way, measurement->run(width, submission));
            fmt::print("| {} | {} | {:.2f} | {:.2f} | {:.2f} | {:.3f} | {:.3f} |\n", width,
                       submission == DraftModel::Submission::one ? "one" : "apart", way.tokens, way.submissions,
                       way.waits, way.ms, way.cpu);
            if (!answer.empty()) same = same && answer == way.answer;
            answer = way.answer;
        }
    }
    fmt::print("answers: {}\n", same ? "the same" : "DIFFERENT");
    return same;
}

}  // namespace
}  // namespace atlas

int main(int argc, char** argv) {
    if (argc < 3) {
        fmt::print(stderr, "draft_block_cost MODEL DRAFT [N_TOKENS WIDTH,WIDTH,... DEVICE]\n");
        return 2;
    }
    const auto same = atlas::measure(argv[1], argv[2], argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 128,
                                     argc > 4 ? argv[4] : "4,8", argc > 5 ? argv[5] : "");
    if (!same) {
        fmt::print(stderr, "{}\n", same.error().message);
        return 1;
    }
    return *same ? 0 : 1;
}
