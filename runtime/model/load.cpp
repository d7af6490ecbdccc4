#include "runtime/model/load.h"

#include <algorithm>

#include "quant/codec.h"
#include "runtime/gguf/file_error.h"
#include "runtime/gguf/intact.h"
#include "runtime/gguf/stream.h"
#include "runtime/model/identity.h"
#include "runtime/model/key_shift.h"
#include "runtime/model/regroup.h"
#include "runtime/model/weight_places.h"

namespace atlas {

namespace {

class Streamer {
  public:
    Streamer(const gguf::File& file, const ModelConfig& config, Backend& backend, uint64_t total_bytes,
             const LoadProgress& progress)
        : file_(file), config_(config), backend_(backend), total_bytes_(total_bytes), progress_(progress) {}

    Result<void> upload(const ResolvedWeight& weight, Storage& to, uint64_t offset_bytes) {
        first_byte_ = offset_bytes;
        const bool as_is =
            weight.format == weight.source->format && weight.scale == 1.0f && weight.content == Content::as_stored;
        if (!as_is) return upload_floats(weight, to);
        return weight.layout == Layout::planar ? upload_regrouped(weight, to) : upload_bytes(weight, to);
    }

  private:
    Result<void> upload_bytes(const ResolvedWeight& weight, Storage& to) {
        return gguf::stream_tensor(file_, *weight.source,
                                   [&](uint64_t offset_bytes, std::span<const std::byte> bytes) -> Result<void> {
                                       ATLAS_TRY_VOID(backend_.upload(to, first_byte_ + offset_bytes, bytes));
                                       advance(bytes.size());
                                       return {};
                                   });
    }

    Result<void> upload_regrouped(const ResolvedWeight& weight, Storage& to) {
        Regrouper regrouper(weight.format);
        const auto take = [&](uint64_t offset_bytes, std::span<const std::byte> bytes) {
            advance(bytes.size());
            return backend_.upload(to, first_byte_ + offset_bytes, bytes);
        };
        ATLAS_TRY_VOID(gguf::stream_tensor(file_, *weight.source, [&](uint64_t, std::span<const std::byte> bytes) {
            return regrouper.add(bytes, take);
        }));
        return regrouper.finish(take);
    }

    // Row by row through floats: vectors that the file stores in another format or that are made of a bias, and scaled
    // f32 matrices.
    Result<void> upload_floats(const ResolvedWeight& weight, Storage& to) {
        const Format from = *weight.source->format;
        const std::span<const std::byte> data = file_.data(*weight.source);
        const uint64_t row_bytes = bytes_of(from, weight.cols);
        ATLAS_CHECK(weight.format == Format::f32 && data.size() == weight.rows * row_bytes, "{}", weight.source->name);
        std::vector<float> row(weight.cols);
        for (uint32_t r = 0; r < weight.rows; ++r) {
            dequantize_row(from, data.subspan(r * row_bytes, row_bytes), row);
            for (float& value : row) value *= weight.scale;
            if (weight.content == Content::key_shift)
                row = key_shift(row, config_.layers[*weight.layer].rope, config_.n_ctx_train);
            ATLAS_TRY_VOID(
                backend_.upload(to, first_byte_ + r * row.size() * sizeof(float), std::as_bytes(std::span(row))));
            advance(row.size() * sizeof(float));
        }
        file_.release(*weight.source, 0, data.size());
        return {};
    }

    void advance(uint64_t n_bytes) {
        done_bytes_ += n_bytes;
        if (progress_) progress_(done_bytes_, total_bytes_);
    }

    const gguf::File& file_;
    const ModelConfig& config_;
    Backend& backend_;
    uint64_t total_bytes_;
    const LoadProgress& progress_;
    uint64_t done_bytes_ = 0;
    uint64_t first_byte_ = 0;  // of the weight in its storage
};

}  // namespace

Result<std::shared_ptr<Model>> Model::prepare(const gguf::File& file, Backend& backend, const SessionShape& shape,
                                              const Architecture* architecture) {
    const auto in_file = [&](Error error) { return gguf::fail_in_file(file.path(), std::move(error)); };
    auto found = resolve_file(file, backend, architecture);
    if (!found) return in_file(std::move(found).error());
    if (const auto plan = plan_within(found->plan_input(backend), shape, room_on(backend)); !plan)
        return in_file(plan.error());

    std::shared_ptr<Model> model(new Model(backend));
    model->resolved_ = std::move(*found);
    auto& weights = model->resolved_.weights;
    model->weights_bytes_ = total_bytes(weights);
    std::sort(weights.begin(), weights.end(), [](const ResolvedWeight& a, const ResolvedWeight& b) {
        return std::pair(a.source->part, a.source->offset_bytes) < std::pair(b.source->part, b.source->offset_bytes);
    });  // as they lie on the disk
    return model;
}

Result<void> Model::take_weights(const FillWeight& fill) {
    std::vector<ResolvedWeight>& resolved = resolved_.weights;
    const WeightPlaces places = place_weights(resolved, backend_.max_storage_bytes());
    std::vector<uint64_t> sizes;
    for (const WeightPlaces::Piece& piece : places.storages) sizes.push_back(piece.bytes);
    backend_.expect(MemoryUse::weights, sizes);
    for (const WeightPlaces::Piece& piece : places.storages) {
        ATLAS_TRY(auto storage, backend_.allocate(MemoryUse::weights, piece.bytes, piece.name));
        storages_.push_back(std::move(storage));
    }
    for (size_t i = 0; i < resolved.size(); ++i) {
        const WeightPlaces::Place& place = places.of[i];
        if (auto done = fill(resolved[i], *storages_[place.storage], place.offset_bytes); !done) {
            return fail_in(resolved[i].source->name, std::move(done).error());
        }
    }
    ATLAS_TRY_VOID(backend_.finish_uploads());
    size_t next = 0;
    weights_ = assemble_weights(resolved_.config, resolved, [&](const ResolvedWeight& weight) {
        const WeightPlaces::Place& place = places.of[next++];
        return dense(*storages_[place.storage], weight.format, weight.rows, weight.cols, place.offset_bytes,
                     weight.layout);
    });
    for (ResolvedWeight& weight : resolved) weight.source = nullptr;
    return {};
}

Result<std::shared_ptr<const Model>> Model::load(const gguf::File& file, Backend& backend, const SessionShape& shape,
                                                 const LoadProgress& progress, const Architecture* architecture) {
    ATLAS_TRY(const std::shared_ptr<Model> model, prepare(file, backend, shape, architecture));
    Streamer streamer(file, model->config(), backend, model->weights_bytes_, progress);
    ModelIdentity identity(model->config());
    const auto fill = [&](const ResolvedWeight& weight, Storage& to, uint64_t at) -> Result<void> {
        const gguf::TensorInfo& source = *weight.source;
        ATLAS_TRY_VOID(file.populate(source, 0, std::min(source.bytes, ModelIdentity::kSampleBytes)));
        identity.add(weight, file.data(source));
        return streamer.upload(weight, to, at);
    };
    const auto taken = model->take_weights(fill);
    ATLAS_TRY_VOID(
        gguf::check_intact(file));  // first: another error may come from the zeros of a file that became shorter
    ATLAS_TRY_VOID(taken);
    model->identity_ = identity.hexadecimal();
    return model;
}

Result<std::shared_ptr<const Model>> Model::load_filled(const gguf::File& file, Backend& backend,
                                                        const SessionShape& shape, const FillWeight& fill) {
    ATLAS_TRY(const std::shared_ptr<Model> model, prepare(file, backend, shape));
    ModelIdentity identity(model->config());
    ATLAS_TRY_VOID(model->take_weights([&](const ResolvedWeight& weight, Storage& to, uint64_t at) {
        identity.add(weight, {});
        return fill(weight, to, at);
    }));
    model->identity_ = identity.hexadecimal();
    return model;
}

Result<MemoryPlan> Model::plan_session(const SessionShape& shape) const {
    Room room = room_on(backend_);
    room.weights_loaded = true;
    return plan_within(resolved_.plan_input(backend_), shape, room);
}

}  // namespace atlas
