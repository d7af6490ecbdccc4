// A request's answer does not depend on the other requests: every answer equals that of a session of its own.
#include "tests/session/engines.h"

namespace atlas {
namespace {

TEST_F(Engines, EachAnswersAsAlone) {
    Engine& engine = start();
    for (uint32_t i = 0; i < 20; ++i) {
        submit(request(1 + i * 17 % 150, i, 5 + i, std::array{0.0f, 1.5f, 1.0f}[i % 3]));
        if (i % 3 == 0) {
            ASSERT_TRUE(engine.step().has_value());
        }
    }
    run_to_the_end();
    expect_all_as_alone();
    for (const auto& [id, result] : results_) EXPECT_EQ(result.finish, EngineFinish::max_tokens);
    EXPECT_LT(engine.runner().counts().steps, 150u) << "they did not share steps";
}

TEST_F(Engines, EndTokensAndTokensAsTheyCome) {
    start();
    EngineRequest one = request(10, 3, 100, 2.0f);
    std::vector<TokenId> seen;
    one.on_token = [&](TokenId token) { seen.push_back(token); };
    one.end_tokens = {4, 9};
    submit(one);
    run_to_the_end();
    expect_all_as_alone();
    const EngineResult& result = results_.begin()->second;
    EXPECT_EQ(result.finish, EngineFinish::end_token);
    EXPECT_EQ(seen, result.answer);
}

// 8 continuations of one prompt, all submitted at once: one prefill, and one set of pages.
TEST_F(Engines, OnePromptForManyIsComputedOnce) {
    for (const uint32_t n_prompt : {200u, 256u}) {
        Engine& engine = start();
        wanted_.clear();
        for (uint32_t i = 0; i < 8; ++i) {
            EngineRequest one = request(n_prompt, 5, 10, 1.0f);
            one.sampler.seed = i;
            submit(one);
        }
        uint32_t most_pages = 0;
        while (!engine.is_idle()) {
            ASSERT_TRUE(engine.step().has_value());
            most_pages = std::max(most_pages, engine.runner().pool().n_in_use());
        }
        collect();
        expect_all_as_alone();
        // Each request runs its own last token for its logits, and has its own page that it then writes to.
        EXPECT_EQ(engine.runner().counts().tokens, n_prompt + 7 + 8 * 9) << n_prompt;
        EXPECT_EQ(most_pages, n_prompt / kPageTokens + 8);
        EXPECT_EQ(engine.runner().pool().n_copied_pages(), 7u);
        EXPECT_GT(engine.runner().counts().shared_positions, 8 * (n_prompt - 1) / kPageTokens * kPageTokens);
    }
}

TEST_F(Engines, LaterRequestsReuseWhatEndedOnesComputed) {
    Engine& engine = start();
    EngineRequest first = request(100, 5, 30);
    submit(first);
    run_to_the_end();
    EngineRequest second = first;
    const auto& answer = results_.begin()->second.answer;
    second.prompt.insert(second.prompt.end(), answer.begin(), answer.end());  // a chat continues
    second.prompt.push_back(3);
    submit(second);
    run_to_the_end();
    EXPECT_EQ(results_.rbegin()->second.reused_tokens, 128u);
    expect_all_as_alone();
    EXPECT_EQ(engine.runner().pool().n_copied_pages(), 0u);
}

// Decoding never stops for a prompt, and a short prompt does not wait for a long one.
TEST_F(Engines, StepsAreSharedFairly) {
    Engine& engine = start();
    std::map<int, std::vector<int>> steps_of;
    int now = 0;
    const auto noted = [&](EngineRequest r, int name) {
        r.on_token = [&, name](TokenId) { steps_of[name].push_back(now); };
        return r;
    };
    submit(noted(request(20, 1, 40), 0));
    ASSERT_TRUE(engine.step().has_value());
    submit(noted(request(500, 2, 10), 1));
    submit(noted(request(25, 3, 10), 2));
    for (now = 1; !engine.is_idle(); ++now) ASSERT_TRUE(engine.step().has_value());
    collect();
    expect_all_as_alone();
    for (size_t i = 0; i < steps_of[0].size(); ++i) EXPECT_EQ(steps_of[0][i], int(i)) << "the first one was delayed";
    EXPECT_EQ(steps_of[2].front(), 1) << "its prompt fits in half of the first budget";
    EXPECT_GE(steps_of[1].front(), 7);
    EXPECT_LE(steps_of[1].front(), 10);
}

TEST_F(Engines, NoRequestStarvesInAStreamOfShortOnes) {
    start({.pool_tokens = 640,
           .n_ctx = 512,
           .n_batch = 16,
           .max_outputs = 4,
           .max_timelines = 3,
           .kv_format = Format::f32});
    submit(request(5, 900, 400));
    submit(request(450, 901, 5));  // needs most of the pool
    uint64_t seed = 0;
    int steps = 0;
    for (; results_.count(2) == 0 && steps < 3000; ++steps) {
        if (engine_->n_waiting() < 2) submit(request(10, ++seed, 5));
        ASSERT_TRUE(engine_->step().has_value());
        collect();
    }
    EXPECT_EQ(results_.count(2), 1u) << "younger requests passed it for ever";
    run_to_the_end();
    expect_all_as_alone();
}

TEST_F(Engines, CancelledRequestsFreeTheirPagesWithinAStep) {
    Engine& engine = start({.pool_tokens = 2048,
                            .n_ctx = 512,
                            .n_batch = 64,
                            .max_outputs = 8,
                            .max_timelines = 2,
                            .kv_format = Format::f32});
    std::stop_source stop;
    EngineRequest stopped = request(100, 1, 200);
    stopped.stop = stop.get_token();
    const RequestId first = engine.submit(stopped).value(), second = engine.submit(request(300, 2, 200)).value();
    submit(request(40, 3, 10));
    submit(request(50, 4, 10));
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(engine.step().has_value());
    EXPECT_EQ(engine.n_waiting(), 2u);
    engine.cancel(second);
    stop.request_stop();
    ASSERT_TRUE(engine.step().has_value());
    collect();
    EXPECT_EQ(results_[first].finish, EngineFinish::cancelled);
    EXPECT_FALSE(results_[first].answer.empty()) << "the answer so far is kept";
    EXPECT_EQ(results_[second].finish, EngineFinish::cancelled);
    EXPECT_EQ(engine.n_waiting(), 0u) << "both places are taken again";
    EXPECT_LE(engine.runner().pool().n_in_use(), 4u);
    engine.cancel(first);
    engine.cancel(77);
    run_to_the_end();
    expect_all_as_alone();
}

TEST_F(Engines, AFullPoolPreemptsTheYoungestWhichGivesTheSameAnswer) {
    Engine& engine = start({.pool_tokens = 10 * kPageTokens,
                            .n_ctx = 256,
                            .n_batch = 64,
                            .max_outputs = 8,
                            .max_timelines = 6,
                            .kv_format = Format::f32});
    for (uint32_t i = 0; i < 6; ++i) submit(request(30 + i, i, 120, i % 2 == 0 ? 0.0f : 1.3f));
    run_to_the_end();
    EXPECT_GT(engine.n_preemptions(), 1u);
    expect_all_as_alone();
    EXPECT_EQ(results_[1].n_preempted, 0u) << "the oldest";
    EXPECT_LT(engine.n_preemptions(), 40u) << "pages move back and forth";
}

TEST_F(Engines, AFullContextEndsWithAReason) {
    Engine& engine = start({.pool_tokens = 64,
                            .n_ctx = 64,
                            .n_batch = 32,
                            .max_outputs = 4,
                            .max_timelines = 2,
                            .kv_format = Format::f32});
    submit(request(50, 1, 0));
    submit(request(10, 2, 0));
    run_to_the_end();
    for (auto& [id, result] : results_) {
        EXPECT_EQ(result.finish, EngineFinish::context_full);
        EXPECT_EQ(result.prompt_tokens + result.answer.size(), 65u)
            << "every position was used, and the last row's token given";
        wanted_[id].max_tokens = static_cast<uint32_t>(result.answer.size());
    }
    expect_all_as_alone();
    EXPECT_EQ(engine.submit(request(65, 3)).error().code, ErrorCode::limit);
    EXPECT_EQ(engine.submit(request(0, 3)).error().code, ErrorCode::invalid_argument);
    EngineRequest wrong = request(5, 3);
    wrong.prompt[2] = kVocab;
    EXPECT_EQ(engine.submit(wrong).error().code, ErrorCode::invalid_argument);
    wrong = request(5, 3);
    wrong.sampler.top_p = -1;
    EXPECT_FALSE(engine.submit(wrong).has_value());
}

// Accepted, rejected and half accepted proposals, greedy and sampled: the answer is the same, and accepted ones save
// steps.
TEST_F(Engines, ProposalsChangeNothingButTheNumberOfSteps) {
    for (const float temperature : {0.0f, 1.0f, 1.4f}) {
        std::vector<uint64_t> steps;
        for (const int kind : {0, 1, 2, 3}) {
            Engine& engine = start({.pool_tokens = 2048,
                                    .n_ctx = 512,
                                    .n_batch = 64,
                                    .max_outputs = 16,
                                    .max_timelines = 2,
                                    .kv_format = Format::f32});
            wanted_.clear();
            results_.clear();
            for (uint64_t seed = 0; seed < 2; ++seed) {
                EngineRequest one = request(30 + 10 * static_cast<uint32_t>(seed), seed, 60, temperature);
                auto whole = one.prompt;
                const auto answer = alone(one);
                whole.insert(whole.end(), answer.begin(), answer.end());
                if (kind > 0) {
                    one.propose = [whole, kind](std::span<const TokenId> tokens, uint32_t most) {
                        std::vector<TokenId> next;
                        for (uint32_t i = 0; i < std::min(most, 5u) && tokens.size() + i < whole.size(); ++i) {
                            const bool wrong = kind == 2 || (kind == 3 && i == 2);
                            next.push_back(wrong ? (whole[tokens.size() + i] + 1) % kVocab : whole[tokens.size() + i]);
                        }
                        if (kind == 3) next.push_back(kVocab + 5);  // cut off
                        return next;
                    };
                }
                submit(one);
            }
            run_to_the_end();
            expect_all_as_alone();
            steps.push_back(engine.runner().counts().steps);
            for (const auto& [id, result] : results_) {
                if (kind == 1) {
                    EXPECT_EQ(result.accepted_tokens, result.proposed_tokens);
                }
                if (kind == 2) {
                    EXPECT_EQ(result.accepted_tokens, 0u);
                }
                if (kind == 3) {
                    EXPECT_NEAR(result.accepted_tokens, 40, 3);
                }
            }
        }
        EXPECT_LE(steps[1], 13u);
        EXPECT_EQ(steps[2], steps[0]);
        EXPECT_LE(steps[3], 23u);
    }
}

TEST_F(Engines, ALostDeviceFailsAllAndLeavesNothing) {
    Engine& engine = start();
    submit(request(100, 1));
    submit(request(20, 2));
    ASSERT_TRUE(engine.step().has_value());
    backend_.fail_run = backend_.counts.runs;
    const auto done = engine.step();
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().code, ErrorCode::device_lost);
    EXPECT_TRUE(engine.is_idle());
    collect();
    ASSERT_EQ(results_.size(), 2u);
    for (const auto& [id, result] : results_) {
        EXPECT_EQ(result.finish, EngineFinish::failed);
        EXPECT_EQ(result.error->code, ErrorCode::device_lost);
    }
    EXPECT_EQ(engine.runner().pool().n_in_use(), 0u);
}

TEST_F(Engines, ShapesThatMakeNoSenseAreRefused) {
    start();
    EXPECT_EQ(
        Engine::create(model_, {.pool_tokens = 64, .n_batch = 8, .max_outputs = 8, .max_timelines = 8}).error().code,
        ErrorCode::invalid_argument);
    EXPECT_EQ(
        Engine::create(model_, {.pool_tokens = 64, .n_batch = 16, .max_outputs = 4, .max_timelines = 8}).error().code,
        ErrorCode::invalid_argument);
    EXPECT_EQ(
        Engine::create(model_, {.pool_tokens = 64, .n_batch = 16, .max_outputs = 4, .max_timelines = 0}).error().code,
        ErrorCode::invalid_argument);
}

// Once every shape of step has been seen, a step records and allocates nothing.
TEST_F(Engines, StepsAreReplayed) {
    Engine& engine = start();
    for (int round = 0; round < 3; ++round) {
        const auto before = backend_.counts;
        for (uint32_t i = 0; i < 4; ++i) submit(request(40, round * 10 + i, 20));
        run_to_the_end();
        if (round == 0) continue;
        EXPECT_EQ(backend_.counts.recordings, before.recordings);
        EXPECT_EQ(backend_.counts.allocations, before.allocations);
    }
    EXPECT_GT(engine.runner().counts().steps, 40u);
}

// The device chooses all tokens, so that steps are submitted one ahead of the host: answers that end early, requests
// that join or are cancelled in between, and a cache that shrinks change no answer.
TEST_F(Engines, OneStepAheadOfTheHost) {
    Engine& engine = start();
    const auto ask = [&](uint32_t i, uint32_t max_tokens) {
        EngineRequest one = request(5 + 13 * i, i, max_tokens, i % 2 == 0 ? 0.0f : 1.0f);
        if (i == 1) one.end_tokens = {4, 9};
        return one;
    };
    for (uint32_t i = 0; i < 4; ++i) submit(ask(i, 40 + 11 * i));
    const auto cancelled = engine.submit(ask(7, 200));
    ASSERT_TRUE(cancelled.has_value());
    while (engine.runner().counts().steps < 12) ASSERT_TRUE(engine.step().has_value());
    EXPECT_GT(backend_.counts.submits, 6);
    ASSERT_GT(engine.shrink(engine.runner().pool().page_bytes() * 2).value(), 0u);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine.step().has_value());
    engine.cancel(*cancelled);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine.step().has_value());
    submit(ask(5, 30));
    submit(ask(6, 1));
    run_to_the_end();
    EXPECT_EQ(results_.erase(*cancelled), 1u);
    expect_all_as_alone();
    EXPECT_EQ(results_.size(), 6u);
    EXPECT_GT(backend_.counts.submits, 60);
    EXPECT_LT(engine.runner().counts().steps, 110u);
}

// Steps of more than eight timelines are padded otherwise.
TEST_F(Engines, OneStepAheadOfTheHostWithManyTimelines) {
    for (const uint32_t n : {9u, 10u, 11u, 13u}) {
        for (const uint32_t max_outputs : {n, 16u}) {
            Engine& engine = start({.pool_tokens = 2048,
                                    .n_ctx = 512,
                                    .n_batch = 64,
                                    .max_outputs = max_outputs,
                                    .max_timelines = n,
                                    .kv_format = Format::f32});
            wanted_.clear();
            results_.clear();
            session_.reset();
            for (uint32_t i = 0; i < n; ++i) submit(request(3 + i, i, 40, i % 3 == 0 ? 0.0f : 1.0f));
            run_to_the_end();
            expect_all_as_alone();
            EXPECT_LT(engine.runner().counts().steps, 60u) << n;
        }
    }
}

TEST_F(Engines, ALostDeviceOneStepAheadEndsAllRequests) {
    Engine& engine = start();
    for (uint32_t i = 0; i < 3; ++i) submit(request(10, i, 50));
    while (backend_.counts.submits < 5) ASSERT_TRUE(engine.step().has_value());
    backend_.fail_run = backend_.counts.runs;
    const auto lost = engine.step();
    ASSERT_FALSE(lost.has_value());
    EXPECT_EQ(lost.error().code, ErrorCode::device_lost);
    collect();
    for (const auto& [id, result] : results_) EXPECT_EQ(result.finish, EngineFinish::failed);
    EXPECT_TRUE(engine.is_idle());
    EXPECT_EQ(engine.runner().pool().n_in_use(), 0u);
}

}  // namespace
}  // namespace atlas
