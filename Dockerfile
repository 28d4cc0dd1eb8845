# The studio in a container. A CUDA host needs the NVIDIA container toolkit; without one the demo models run on the CPU.
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 1000 studio
WORKDIR /home/studio/app
COPY requirements.txt .
# bitsandbytes quantises Qwen where STUDIO_QWEN_QUANTIZATION asks for it.
RUN pip install --no-cache-dir -r requirements.txt bitsandbytes==0.50.2
COPY --chown=studio:studio app.py ./
COPY --chown=studio:studio studio studio
COPY --chown=studio:studio pipelines pipelines
COPY --chown=studio:studio queue_backend queue_backend
RUN mkdir /home/studio/data && chown studio:studio /home/studio/data

USER studio
ENV PYTHONUNBUFFERED=1 STUDIO_DATA_DIR=/home/studio/data
VOLUME /home/studio/data
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=3)"
CMD ["python", "app.py"]
