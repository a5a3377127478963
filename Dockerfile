# One image for the app, the scheduler and the workers: the same code is in all of them. compose.yaml says what each runs.
FROM python:3.12-slim

# PyTorch's default build brings several GB for GPUs that are not used. The address of the CPU build, from PyTorch's “Get
# Started” page, makes a smaller image: docker compose build --build-arg TORCH_INDEX=…
ARG TORCH_INDEX=""
RUN test -z "$TORCH_INDEX" || pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX"

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .

ENV PYTHONPATH=/app OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
RUN useradd --create-home reader && mkdir -p data && chown reader data
USER reader
EXPOSE 8501
CMD ["streamlit", "run", "app.py", "--server.address", "0.0.0.0"]
