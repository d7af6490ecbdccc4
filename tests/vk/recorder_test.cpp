// Recording and running on a device, watched by validation.
#include <chrono>
#include <cmath>

#include "runtime/vk/profiler.h"
#include "tests/vk/test_kernel.h"

namespace atlas::vk {
namespace {

class RecorderTest : public DeviceTest {
  protected:
    void SetUp() override {
        DeviceTest::SetUp();
        if (!device_) return;
        auto kernel = device_->kernels().get(scale_add_spec());
        ASSERT_TRUE(kernel) << kernel.error().message;
        kernel_ = *kernel;
    }
    BufferRange vector(float value) { return floats(*device_, 1000, value, "vector"); }
    Recording finish(Recorder& recorder) {
        auto recording = recorder.finish();
        if (!recording) ADD_FAILURE() << recording.error().message;
        return std::move(*recording);
    }
    void run(const Recording& recording) {
        const auto done = device_->queue().run(recording);
        ASSERT_TRUE(done) << done.error().message;
    }
    void expect_all(const BufferRange& range, float value) {
        EXPECT_EQ(read_floats(*device_, range), std::vector<float>(range.bytes / 4, value));
    }

    const Kernel* kernel_ = nullptr;
};

TEST_F(RecorderTest, OneDispatchComputes) {
    const BufferRange x = vector(3), y = vector(1), z = vector(0);
    Recorder recorder(*device_, "one");
    record_scale_add(recorder, *kernel_, x, y, z, 2);
    run(finish(recorder));
    expect_all(z, 7);
}

TEST_F(RecorderTest, AnEmptyRecordingRuns) {
    Recorder recorder(*device_, "nothing");
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_submissions(), 0u);
    run(recording);
}

TEST_F(RecorderTest, ReadAfterWriteGetsABarrier) {
    const BufferRange x = vector(1), y = vector(1), z = vector(0), w = vector(0);
    Recorder recorder(*device_, "raw");
    record_scale_add(recorder, *kernel_, x, y, z);  // z = 2
    record_scale_add(recorder, *kernel_, z, z, w);  // w = 4
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 1u);
    run(recording);
    expect_all(w, 4);
}

TEST_F(RecorderTest, WriteAfterReadGetsABarrier) {
    const BufferRange x = vector(1), y = vector(1), z = vector(0), w = vector(5);
    Recorder recorder(*device_, "war");
    record_scale_add(recorder, *kernel_, x, y, z);  // reads x
    record_scale_add(recorder, *kernel_, w, w, x);  // writes x
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 1u);
    run(recording);
    expect_all(z, 2);
    expect_all(x, 10);
}

TEST_F(RecorderTest, WriteAfterWriteGetsABarrier) {
    const BufferRange x = vector(1), y = vector(2), z = vector(0);
    Recorder recorder(*device_, "waw");
    record_scale_add(recorder, *kernel_, x, x, z);
    record_scale_add(recorder, *kernel_, y, y, z);
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 1u);
    run(recording);
    expect_all(z, 4);
}

TEST_F(RecorderTest, IndependentWorkGetsNone) {
    const BufferRange x = vector(1), z = vector(0), w = vector(0);
    const BufferRange halves = vector(0);
    Recorder recorder(*device_, "none");
    record_scale_add(recorder, *kernel_, x, x, z);
    record_scale_add(recorder, *kernel_, x, x, w);
    record_scale_add(recorder, *kernel_, x, x, halves.sub(0, 2048));
    record_scale_add(recorder, *kernel_, x, x, halves.sub(2048, 1952));
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 0u);
    run(recording);
    expect_all(halves, 2);
}

TEST_F(RecorderTest, CopiesAndFillsAreOrderedToo) {
    const BufferRange x = vector(0), y = vector(0), z = vector(0);
    Recorder recorder(*device_, "copies");
    recorder.fill(x, 0x40400000);                   // 3
    recorder.copy(x, y);                            // RAW
    record_scale_add(recorder, *kernel_, x, y, z);  // RAW of y
    recorder.fill(x, 0);                            // WAR
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 3u);
    EXPECT_EQ(recording.n_dispatches(), 1u);
    run(recording);
    expect_all(z, 6);
    expect_all(x, 0);
}

TEST_F(RecorderTest, ALieAboutAnAccessIsCaughtByValidation) {
    if (!is_validating()) GTEST_SKIP() << "the validation layer is not installed";
    const BufferRange x = vector(1), z = vector(0), w = vector(0);
    Recorder recorder(*device_, "a lie");
    record_scale_add(recorder, *kernel_, x, x, z, 1, Access::read);  // it writes z
    record_scale_add(recorder, *kernel_, z, z, w);
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_barriers(), 0u);
    const std::string said = validation_messages();
    EXPECT_NE(said.find("SYNC-HAZARD-READ-AFTER-WRITE"), std::string::npos) << "said: " << said;
}

TEST_F(RecorderTest, RunsAgainAndAgain) {
    const BufferRange x = vector(1), z = vector(0);
    Recorder recorder(*device_, "count");
    record_scale_add(recorder, *kernel_, x, z, z, 1, Access::read_write);
    const Recording recording = finish(recorder);
    for (int i = 0; i < 50; ++i) run(recording);
    expect_all(z, 50);
}

TEST_F(RecorderTest, TwoRecordingsFollowEachOther) {
    const BufferRange x = vector(1), y = vector(0), z = vector(0);
    Recorder first(*device_, "first"), second(*device_, "second");
    record_scale_add(first, *kernel_, x, x, y);   // y = 2
    record_scale_add(second, *kernel_, y, y, z);  // z = 4
    const Recording a = finish(first), b = finish(second);
    run(a);
    run(b);
    expect_all(z, 4);
}

TEST_F(RecorderTest, HostWritesBetweenRunsAreSeen) {
    auto step = device_->memory().allocate(1, 4000, "step", {.placement = Placement::host_write});
    auto result = device_->memory().allocate(2, 4000, "result", {.placement = Placement::host_read});
    ASSERT_TRUE(step && result);
    Recorder recorder(*device_, "step");
    record_scale_add(recorder, *kernel_, *step, *step, *result);
    const Recording recording = finish(recorder);
    for (const float value : {1.0f, 2.0f, 3.0f}) {
        const std::vector<float> values(1000, value);
        std::memcpy(step->mapped, values.data(), 4000);
        ASSERT_TRUE(device_->memory().flush(*step));
        run(recording);
        ASSERT_TRUE(device_->memory().invalidate(*result));
        std::vector<float> got(1000);
        std::memcpy(got.data(), result->mapped, 4000);
        EXPECT_EQ(got, std::vector<float>(1000, 2 * value));
    }
}

TEST_F(RecorderTest, ManyPartsGiveTheSameResult) {
    const BufferRange x = vector(1), z = vector(0);
    const Cost most{.flops = 0.9 * device_->quirks().submission_limit_ms * device_->quirks().gflops * 1e6};
    Recorder recorder(*device_, "parts");
    for (int i = 0; i < 10; ++i) record_scale_add(recorder, *kernel_, x, z, z, 1, Access::read_write, most);
    const Recording recording = finish(recorder);
    EXPECT_EQ(recording.n_submissions(), 10u);
    // A barrier between any two, also across submissions.
    EXPECT_EQ(recording.n_barriers(), 9u);
    run(recording);
    expect_all(z, 10);
}

// Two recordings of several parts in flight at once, each used twice: a step reads what the one before wrote.
TEST_F(RecorderTest, WhatIsSubmittedAheadRunsInOrder) {
    const BufferRange x = vector(1), z = vector(1), w = vector(0);
    const Cost most{.flops = 0.9 * device_->quirks().submission_limit_ms * device_->quirks().gflops * 1e6};
    Recorder even(*device_, "even"), odd(*device_, "odd");
    for (int i = 0; i < 3; ++i) record_scale_add(even, *kernel_, x, z, z, 1, Access::read_write, most);  // z += 3
    for (int i = 0; i < 2; ++i) record_scale_add(odd, *kernel_, z, z, z, 1, Access::read_write, most);   // z *= 4
    record_scale_add(odd, *kernel_, z, x, w);
    const Recording a = finish(even), b = finish(odd);
    uint64_t last = 0;
    for (int round = 0; round < 2; ++round) {
        const auto first = device_->queue().submit(a), second = device_->queue().submit(b);
        ASSERT_TRUE(first && second);
        EXPECT_EQ(*second, *first + b.n_submissions());
        ASSERT_TRUE(device_->queue().wait(*second));
        last = *second;
    }
    EXPECT_EQ(device_->queue().last_submitted(), last);
    expect_all(z, 76);  // ((1 + 3) * 4 + 3) * 4
    expect_all(w, 77);
}

// Each reads what the one before wrote; small ones share a submission of the device, large ones do not.
TEST_F(RecorderTest, SeveralInOneCallRunInOrder) {
    const BufferRange x = vector(1), z = vector(1), w = vector(0);
    Recorder add(*device_, "add"), scale(*device_, "scale"), large(*device_, "large"), none(*device_, "none");
    record_scale_add(add, *kernel_, x, z, z, 1, Access::read_write);    // z += 1
    record_scale_add(scale, *kernel_, z, z, z, 1, Access::read_write);  // z *= 2
    const Cost most{.flops = 0.9 * device_->quirks().submission_limit_ms * device_->quirks().gflops * 1e6};
    for (int i = 0; i < 2; ++i)
        record_scale_add(large, *kernel_, z, x, w, 1, Access::read_write, most);  // w = z + 1, twice
    const Recording a = finish(add), b = finish(scale), c = finish(large), empty = finish(none);
    const std::vector<const Recording*> all = {&empty, &a, &b, &empty, &c};
    for (int round = 0; round < 2; ++round) {
        const uint64_t before = device_->queue().last_submitted();
        const auto last = device_->queue().submit(std::span<const Recording* const>(all));
        ASSERT_TRUE(last.has_value());
        EXPECT_EQ(*last, before + 2) << "the large one's first part joins the small ones, its second one does not";
        ASSERT_TRUE(device_->queue().wait(*last));
    }
    expect_all(z, 10);  // ((1 + 1) * 2 + 1) * 2
    expect_all(w, 11);
    const uint64_t before = device_->queue().last_submitted();
    EXPECT_EQ(device_->queue().submit(std::span<const Recording* const>(all).first(1)).value(), before)
        << "nothing to run";
}

TEST_F(RecorderTest, LabelsAreTimed) {
    if (device_->caps().timestamp_valid_bits == 0) GTEST_SKIP() << "the device has no timestamps";
    const Kernel* slow = *device_->kernels().get(scale_add_spec(64, 3000));
    const BufferRange x = vector(1), z = vector(0), w = vector(0);
    Recorder recorder(*device_, "timed", {.profile = true});
    recorder.label("short");
    record_scale_add(recorder, *kernel_, x, x, z);
    recorder.label("long");
    record_scale_add(recorder, *slow, x, x, w);
    record_scale_add(recorder, *slow, w, w, z);
    recorder.label("short");
    record_scale_add(recorder, *kernel_, x, x, w);
    const Recording recording = finish(recorder);
    // The least of several runs: other programs on a software device's processor may delay any one of them.
    double short_ms = INFINITY, long_ms = INFINITY;
    for (int i = 0; i < 8; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        run(recording);
        const double wall_ms =
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
        const auto times = label_times(*device_, recording);
        ASSERT_TRUE(times) << times.error().message;
        ASSERT_EQ(times->size(), 2u);
        EXPECT_EQ((*times)[0].label, "short");
        EXPECT_EQ((*times)[0].dispatches, 2u);
        EXPECT_EQ((*times)[1].label, "long");
        EXPECT_EQ((*times)[1].dispatches, 2u);
        EXPECT_GT((*times)[0].ms, 0);
        EXPECT_LE((*times)[0].ms + (*times)[1].ms, wall_ms);
        short_ms = std::min(short_ms, (*times)[0].ms);
        long_ms = std::min(long_ms, (*times)[1].ms);
    }
    EXPECT_GT(long_ms, short_ms);
}

TEST_F(RecorderTest, TimesOfAnUnprofiledRecordingAreAnError) {
    const BufferRange x = vector(1), z = vector(0);
    Recorder recorder(*device_, "plain");
    record_scale_add(recorder, *kernel_, x, x, z);
    const Recording recording = finish(recorder);
    run(recording);
    EXPECT_FALSE(label_times(*device_, recording));
}

using RecorderDeathTest = RecorderTest;
TEST_F(RecorderDeathTest, WrongBindingsAreOurBug) {
    const BufferRange x = vector(1);
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Recorder recorder(*device_, "bad");
    const std::array<Binding, 1> one = {Binding{x, Access::read}};
    EXPECT_DEATH(recorder.dispatch({.kernel = kernel_, .bindings = one, .push = {}}), "1 bindings, takes 3");
    BufferRange odd = x.sub(4, 96);
    EXPECT_DEATH(record_scale_add(recorder, *kernel_, odd, x, x), "alignment");
}

class QueueTest : public RecorderTest {};

TEST_F(QueueTest, TheTimelineCountsSubmissions) {
    const BufferRange x = vector(1), z = vector(0);
    Recorder recorder(*device_, "count");
    record_scale_add(recorder, *kernel_, x, x, z);
    const Recording recording = finish(recorder);
    Queue& queue = device_->queue();
    const uint64_t before = queue.last_submitted();
    run(recording);
    EXPECT_EQ(queue.last_submitted(), before + 1);
    EXPECT_EQ(queue.reached(), before + 1);
    EXPECT_TRUE(queue.wait(before + 1, 0));
}

class StoppedTest : public QueueTest {
  protected:
    DeviceOptions options() const override {
        return {.stop_requested = [this] { return n_asked_++ >= n_until_stop_; }};
    }
    mutable int n_asked_ = 0;
    int n_until_stop_ = 1000;
};

// Regression: all parts were submitted at once, and Ctrl-C waited for seconds.
TEST_F(StoppedTest, WhatWasNotSubmittedIsLeftOut) {
    const BufferRange x = vector(1), z = vector(0);
    const Cost most{.flops = 0.9 * device_->quirks().submission_limit_ms * device_->quirks().gflops * 1e6};
    Recorder recorder(*device_, "parts");
    for (int i = 0; i < 10; ++i) record_scale_add(recorder, *kernel_, x, z, z, 1, Access::read_write, most);
    const Recording recording = finish(recorder);
    ASSERT_EQ(recording.n_submissions(), 10u);
    Queue& queue = device_->queue();
    n_asked_ = 0;
    n_until_stop_ = 4;
    const uint64_t before = queue.last_submitted();
    const auto done = queue.run(recording);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::cancelled);
    EXPECT_EQ(queue.last_submitted(), before + 5);
    n_until_stop_ = 1000;
    run(recording);  // the queue works on
    expect_all(z, 15);
}

class ImpatientTest : public QueueTest {
    DeviceOptions options() const override { return {.timeout_ms = 0.1}; }  // ten times that on a software device
};

TEST_F(ImpatientTest, AHangIsAnErrorThatNamesWhatWasRunning) {
    const Kernel* slow = *device_->kernels().get(scale_add_spec(64, 4000));
    const BufferRange x = floats(*device_, 40'000, 1, "x"), z = floats(*device_, 40'000, 0, "z");
    Recorder recorder(*device_, "decode");
    recorder.label("layer 7 ffn");
    record_scale_add(recorder, *slow, x, x, z);
    const Recording recording = finish(recorder);
    const auto done = device_->queue().run(recording);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::device_lost);
    for (const char* part : {"decode", "layer 7 ffn"})
        EXPECT_NE(done.error().message.find(part), std::string::npos) << done.error().message;
    EXPECT_FALSE(device_->queue().run(recording)) << "no more of it";
    // It was only slow: the queue waits for its end before its buffers are freed. With a shorter wait they would be
    // kept (tests/faults).
    EXPECT_TRUE(device_->queue().settle());
    EXPECT_EQ(device_->queue().reached(), device_->queue().last_submitted());
}

}  // namespace
}  // namespace atlas::vk
