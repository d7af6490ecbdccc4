/* peer_logits MODEL TOKENS OUT.f32 [N_GREEDY]: the logits of another runtime, llama.cpp through its library, for the
   same token ids: f32 [n_tokens + N_GREEDY, n_vocab] on its CPU backend with an f32 KV cache.
   With N_GREEDY it first continues the tokens by that many
   most likely ones. Prints all token ids, separated by commas. TOKENS: "1,2,3".
   Build where it is installed: cc -O1 peer_logits.c -o peer_logits -lllama -lggml -lggml-base */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 16384 };

static void be_quiet(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void die(const char *what) {
    fprintf(stderr, "peer_logits: %s\n", what);
    exit(1);
}

/* Runs tokens [first, first + count) and returns where their logits begin. */
static const float *decode(struct llama_context *context, const llama_token *tokens, int first, int count) {
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; i++) {
        batch.token[i] = tokens[first + i];
        batch.pos[i] = first + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    if (llama_decode(context, batch) != 0) die("decode failed");
    llama_batch_free(batch);
    return llama_get_logits(context);
}

int main(int argc, char **argv) {
    if (argc < 4) die("usage: peer_logits MODEL TOKENS OUT.f32 [N_GREEDY]");
    static llama_token tokens[MAX_TOKENS];
    int n_tokens = 0;
    for (char *piece = strtok(argv[2], ","); piece; piece = strtok(NULL, ",")) {
        if (n_tokens == MAX_TOKENS / 2) die("too many tokens");
        tokens[n_tokens++] = atoi(piece);
    }
    const int n_greedy = argc > 4 ? atoi(argv[4]) : 0;
    const int n_all = n_tokens + n_greedy;

    llama_log_set(be_quiet, NULL);
    llama_backend_init();
    ggml_backend_load_all();
    struct llama_model_params model_params = llama_model_default_params();
    model_params.n_gpu_layers = 0;
    struct llama_model *model = llama_model_load_from_file(argv[1], model_params);
    if (!model) die("cannot load the model");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = (uint32_t)(n_all < 256 ? 256 : n_all);
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.n_threads = params.n_threads_batch = 2;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) die("cannot make a context");

    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    FILE *out = fopen(argv[3], "wb");
    if (!out) die("cannot write the output");
    for (int done = 0; done < n_all;) {
        const int count = done == 0 ? n_tokens : 1;
        const float *logits = decode(context, tokens, done, count);
        if (fwrite(logits, sizeof(float) * (size_t)n_vocab, (size_t)count, out) != (size_t)count) die("cannot write the output");
        done += count;
        const float *last = logits + (size_t)(count - 1) * (size_t)n_vocab;
        int best = 0;
        for (int i = 1; i < n_vocab; i++) {
            if (last[i] > last[best]) best = i;
        }
        if (done < n_all) tokens[done] = best;
    }
    if (fclose(out) != 0) die("cannot write the output");
    for (int i = 0; i < n_all; i++) printf("%s%d", i ? "," : "", tokens[i]);
    printf("\n");
    return 0;
}
