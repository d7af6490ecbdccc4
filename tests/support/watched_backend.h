#pragma once
// A backend that forwards to another one and counts the calls; tests can also make it fail.

#include <memory>
#include <optional>

#include "runtime/ops/backend.h"
#include "tests/reference/ref_backend.h"

namespace atlas::testing {

class WatchedBackend : public Backend {
  public:
    struct Counts {
        int allocations = 0;
        int shrinks = 0;
        int uploads = 0;
        int recordings = 0;
        int runs = 0;  // submits too, several programs in one count as one
        int submits = 0;
        int waits = 0;
        int reads = 0;
        int writes = 0;
        uint64_t written_bytes = 0;
        uint64_t read_bytes = 0;
    };
    Counts counts;
    uint64_t largest_bytes = uint64_t{1} << 40;
    std::optional<Format> unreadable = {};
    std::function<void(std::span<std::byte>)> after_read = {};  // may change what was read
    int fail_shrink = -1;                                       // the shrink of this number (from 0) finds no memory
    int fail_run = -1;                                          // the run of this number (from 0) reports a lost device

    explicit WatchedBackend(std::unique_ptr<Backend> inner = make_ref_backend()) : inner_(std::move(inner)) {}

    std::string describe() const override { return "watched " + inner_->describe(); }
    MemoryBudget budget() const override { return inner_->budget(); }
    uint64_t max_storage_bytes() const override { return largest_bytes; }
    bool can_read(Format format) const override { return format != unreadable; }
    uint32_t cache_layout() const override { return inner_->cache_layout(); }
    Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) override {
        ++counts.allocations;
        return inner_->allocate(use, bytes, name);
    }
    Result<void> shrink(std::unique_ptr<Storage>& storage, uint64_t bytes) override {
        if (counts.shrinks++ == fail_shrink) return fail(ErrorCode::out_of_memory, "nothing left");
        return inner_->shrink(storage, bytes);
    }
    Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override {
        ++counts.uploads;
        return inner_->upload(to, offset_bytes, bytes);
    }
    Result<void> finish_uploads() override { return inner_->finish_uploads(); }
    Result<void> reserve_scratch(uint64_t bytes) override {
        ++counts.allocations;
        return inner_->reserve_scratch(bytes);
    }
    Result<std::unique_ptr<Program>> record(std::string_view name, const std::function<void(Ops&)>& pass) override {
        ++counts.recordings;
        return inner_->record(name, pass);
    }
    Result<void> run(Program& program) override {
        if (counts.runs++ == fail_run) return fail(ErrorCode::device_lost, "the device is gone");
        return inner_->run(program);
    }
    Result<uint64_t> submit(Program& program) override {
        if (counts.runs++ == fail_run) return fail(ErrorCode::device_lost, "the device is gone");
        ++counts.submits;
        return inner_->submit(program);
    }
    Result<uint64_t> submit_all(std::span<Program* const> programs) override {
        if (counts.runs++ == fail_run) return fail(ErrorCode::device_lost, "the device is gone");
        ++counts.submits;
        return inner_->submit_all(programs);
    }
    Result<void> wait(uint64_t ticket) override {
        ++counts.waits;
        return inner_->wait(ticket);
    }
    void write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override {
        ++counts.writes;
        counts.written_bytes += bytes.size();
        inner_->write(to, offset_bytes, bytes);
    }
    void read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) override {
        ++counts.reads;
        counts.read_bytes += bytes.size();
        inner_->read(from, offset_bytes, bytes);
        if (after_read) after_read(bytes);
    }

  private:
    std::unique_ptr<Backend> inner_;
};

}  // namespace atlas::testing
