// Fine-tunes a model, asks it a question, and evaluates what the fine-tuning changed.
//
//     cc example.c $(pkg-config --cflags --libs tinysft) -o example
//     ./example MODEL ROWS QUESTIONS OUT
#include <tinysft/tinysft.h>

#include <stdio.h>

static tinysft_next show_step(void *user, const tinysft_step *step)
{
    (void)user;
    printf("step %llu of %llu: loss %.4f\n", (unsigned long long)step->step,
           (unsigned long long)step->steps, step->loss);
    return TINYSFT_GO_ON;
}

static tinysft_next show_token(void *user, const tinysft_token *token)
{
    (void)user;
    printf("%.*s", (int)token->bytes, token->text);
    return TINYSFT_GO_ON;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        return TINYSFT_ERR_ARGUMENT;
    }
    const tinysft_training_params rows = {.model = argv[1], .data = argv[2], .output_dir = argv[4],
        .max_steps = 5, .batch_size = 4, .learning_rate = 5e-3, .logging_steps = 1};
    const tinysft_model_params tuned = {.model = argv[1], .adapter = argv[4]};
    const tinysft_message question = {TINYSFT_USER, "What is the capital of Peru?"};
    const tinysft_generate_params ask = {&question, 1, .max_new_tokens = 16, .on_token = show_token};
    const tinysft_evaluation_params questions = {.data = argv[3], .max_new_tokens = 4};
    tinysft_error error;
    tinysft_device *device = NULL;
    tinysft_training *training = NULL;
    tinysft_model *model = NULL;
    tinysft_evaluation *evaluation = NULL;
    tinysft_comparison found;
    if (tinysft_device_open(NULL, &device, &error) == TINYSFT_OK &&
        tinysft_training_open(device, &rows, &training, &error) == TINYSFT_OK &&
        tinysft_training_run(training, show_step, NULL, &error) == TINYSFT_OK &&
        tinysft_model_open(device, &tuned, &model, &error) == TINYSFT_OK &&
        tinysft_generate(model, &ask, NULL, &error) == TINYSFT_OK &&
        tinysft_evaluation_open(model, &questions, &evaluation, &error) == TINYSFT_OK &&
        tinysft_evaluation_run(evaluation, NULL, NULL, &error) == TINYSFT_OK &&
        tinysft_evaluation_compare(evaluation, false, &found, &error) == TINYSFT_OK) {
        printf("\nloss on %u reference answers: %.3f before, %.3f after\n", found.base.measured,
               found.base.loss, found.tuned.loss);
    }
    if (error.code != TINYSFT_OK) {
        fprintf(stderr, "%s\n", error.message);
    }
    tinysft_evaluation_close(&evaluation);
    tinysft_model_close(&model);
    tinysft_training_close(&training);
    tinysft_device_close(&device);
    return (int)error.code;
}
